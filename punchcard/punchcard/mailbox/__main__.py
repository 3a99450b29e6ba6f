"""``python -m punchcard.mailbox --folder FOLDER --smtp-port PORT --http-port PORT``"""

from __future__ import annotations

import argparse
from pathlib import Path

from punchcard.mailbox.sink import serve


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m punchcard.mailbox", description="Take mails by SMTP, show them.")
    parser.add_argument("--folder", type=Path, required=True, help="where mails are kept, one .eml file each")
    parser.add_argument("--smtp-port", type=int, required=True, help="takes mails, on 127.0.0.1")
    parser.add_argument("--http-port", type=int, required=True, help="shows them at /dev/mail, on 127.0.0.1")
    asked = parser.parse_args()
    try:
        serve(asked.folder, asked.smtp_port, asked.http_port)
    except OSError as error:
        raise SystemExit(
            f"the mailbox cannot listen on ports {asked.smtp_port} and {asked.http_port}: {error}"
        ) from error


if __name__ == "__main__":
    main()
