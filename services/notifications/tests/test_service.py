"""The service as a process of its own, on a real broker, with a real mail server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from chassis.context import RequestContext, entered
from chassis.identity import IdentitySigner, public_key_of
from chassis.persistence import Database
from chassis.persistence.migrations import migrate
from chassis.rpc import RpcClient
from chassis.sealing import Opener, Sealer, new_key
from chassis.testing import event_example, identity, wait_until

CLAIM_CODE = "7K2M-Q9TX-04HB-ZZ5V-W8YN-3"
SIGNING_KEY, SEALING_KEY = new_key(), new_key()


@pytest.fixture
def service(amqp_uri: str, new_postgres: Callable[[], str], smtp: Any, tmp_path: Path) -> Iterator[Any]:
    url, log = new_postgres(), tmp_path / "log"
    database = Database(url)
    migrate(database, "notifications")
    database.close()
    environment = {
        **os.environ,
        "AMQP_URI": amqp_uri,
        "NOTIFICATIONS_DATABASE_URL": url,
        "IDENTITY_PUBLIC_KEY": public_key_of(SIGNING_KEY),
        "NOTIFICATIONS_SEALING_KEY": SEALING_KEY,
        "NOTIFICATIONS_SMTP_URL": f"smtp://127.0.0.1:{smtp.port}",
        "NOTIFICATIONS_SENDER": "Punchcard <store@punchcard.example>",
        "PUNCHCARD_PUBLIC_URL": "https://store.punchcard.example",
    }
    command = [sys.executable, "-c", "from chassis.runner import run; run('notifications')"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
    try:
        wait_until(lambda: "takes messages" in log.read_text() or process.poll() is not None, "the service to start")
        assert process.poll() is None, log.read_text()
        yield process
        assert CLAIM_CODE not in log.read_text()
        assert "ada@acme.example" not in log.read_text()
    finally:
        process.kill()
        process.wait()


def test_an_event_becomes_one_mail_and_staff_can_look_it_up(service: Any, amqp_uri: str, smtp: Any) -> None:
    sealed = Sealer(Opener(SEALING_KEY).public_key).seal(CLAIM_CODE)
    card = {**event_example("credits.card_issued.v1"), "sealed_code": sealed}
    with Connection(amqp_uri) as connection:
        producer = connection.Producer()
        for event_id, data in (
            ("evt_1", card), ("evt_1", card), ("evt_2", card), ("evt_3", {**card, "card_id": "scc_other"})
        ):  # fmt: skip
            body = {
                "id": event_id,
                "type": "credits.card_issued.v1",
                "occurred_at": "2026-11-22T12:00:00.000Z",
                "data": data,
            }
            producer.publish(
                json.dumps(body), exchange="credits.events", routing_key="card_issued.v1",
                content_type="application/json", content_encoding="utf-8", headers={"correlation_id": "cor_http"},
            )  # fmt: skip
    wait_until(lambda: len(smtp.mailbox.mails) >= 2, "the mails")

    client = RpcClient(amqp_uri, "tests")
    client.start()
    try:
        token = IdentitySigner(SIGNING_KEY).sign(identity("support"))
        with entered(RequestContext("cor_test", token)):
            wait_until(
                lambda: {item["state"] for item in _listed(client)} == {"sent"}, "the mails to be marked as sent"
            )
            items = _listed(client)
    finally:
        client.stop()
    service.send_signal(signal.SIGTERM)
    assert service.wait(40) == 0

    assert [item["cause"] for item in items] == ["card:scc_other", f"card:{card['card_id']}"]
    assert [item["attempts"] for item in items] == [1, 1]
    assert len(smtp.mailbox.mails) == 2
    for mail in smtp.mailbox.mails:
        assert f"Claim code: {CLAIM_CODE}" in mail.get_body(("plain",)).get_content().splitlines()
        assert mail["X-Correlation-ID"] == "cor_http"


def _listed(client: RpcClient) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = client.call("notifications", "list_deliveries", {"cause_prefix": "card:"})["items"]
    return items
