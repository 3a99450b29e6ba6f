"""``python -m payments.offline_provider --port 8090 --book provider.db --key SECRET``"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence

from payments.offline_provider import Target, create_app
from payments.offline_provider.server import threaded_server

_log = logging.getLogger("payments.offline_provider")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m payments.offline_provider", description="A payment provider.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="0 for any free one; the log says which")
    parser.add_argument("--book", required=True, help="SQLite file of tokens and charges")
    parser.add_argument(
        "--key",
        default=os.environ.get("PAYMENTS_PROVIDER_KEY"),
        help="what merchants send as a bearer token; PAYMENTS_PROVIDER_KEY, which no process list shows, unless given",
    )
    parser.add_argument("--slow-s", type=float, default=3.0, help="seconds that the slow card takes")
    parser.add_argument("--hang-s", type=float, default=60.0, help="seconds that the card which times out takes")
    parser.add_argument(
        "--challenge-s", type=float, default=900.0, help="seconds that a payer has to confirm (3-D Secure)"
    )
    parser.add_argument(
        "--public-url",
        default=os.environ.get("PAYMENTS_PROVIDER_PUBLIC_URL") or None,
        help="where browsers reach it (PAYMENTS_PROVIDER_PUBLIC_URL unless given); as the merchant does, unless named",
    )
    parser.add_argument(
        "--webhook-url",
        default=os.environ.get("PAYMENTS_WEBHOOK_URL"),
        help="where to tell what became of charges (PAYMENTS_WEBHOOK_URL unless given); signed with "
        "PAYMENTS_WEBHOOK_SECRET; nowhere unless named",
    )
    options = parser.parse_args(arguments)
    if not options.key:
        parser.error("give --key or set PAYMENTS_PROVIDER_KEY")
    secret = os.environ.get("PAYMENTS_WEBHOOK_SECRET")
    if options.webhook_url and not secret:
        parser.error("webhooks are signed: set PAYMENTS_WEBHOOK_SECRET")

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    target = Target(options.webhook_url, secret) if options.webhook_url and secret else None
    app = create_app(
        options.book, options.key, options.slow_s, options.hang_s,
        challenge_s=options.challenge_s, public_url=options.public_url, webhooks=target,
    )  # fmt: skip
    server = threaded_server(app, options.host, options.port)
    for number in (signal.SIGINT, signal.SIGTERM):
        # shutdown() waits for the loop that this very handler interrupts, hence the thread.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    _log.info("offline payment provider on http://%s:%s", options.host, server.port)
    courier = app.extensions.get("courier")
    if courier is not None:
        courier.start()
    server.serve_forever()
    if courier is not None:
        courier.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
