"""Staff look into what became of mails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chassis.messages import Event, dump_checked, load_request
from chassis.persistence import Database
from chassis.testing import identity
from kernel.errors import Refusal
from notifications.bootstrap import App
from notifications.domain.deliveries import MailKind
from notifications.messages import RPC_EXAMPLES, DeliveryList, ListDeliveries
from notifications.transports import FolderTransport
from notifications.use_cases.list_deliveries import list_deliveries
from notifications.use_cases.queue_mail import queue_cards, queue_receipts
from notifications.use_cases.send_mails import send_mails

ALL = {"cause_prefix": None, "order_id": None, "limit": 20, "cursor": None}
STAFF = identity("support")


@pytest.fixture
def app(
    migrated: Callable[..., Database], make_app: Callable[..., App], event: Callable[..., Event], tmp_path: Path
) -> App:
    """Mails of three cards and a receipt; all but the receipt have been sent."""
    app = make_app(migrated("notifications"), FolderTransport(tmp_path))
    for number in range(3):
        queue_cards(app, [event(MailKind.CARD, card_id=f"scc_{number}", order_id=f"ord_{number}")])
    send_mails(app)
    queue_receipts(app, [event(MailKind.RECEIPT, order_id="ord_0")])
    return app


@pytest.mark.parametrize("role", ["finance", "support", "superuser"])
def test_staff_see_deliveries_newest_first_and_nothing_of_their_content(app: App, role: str) -> None:
    reply = dump_checked(DeliveryList(), list_deliveries(app, identity(role), **ALL))

    assert [item["cause"] for item in reply["items"]] == ["receipt:ord_0", "card:scc_2", "card:scc_1", "card:scc_0"]
    assert [item["state"] for item in reply["items"]] == ["queued", "sent", "sent", "sent"]
    assert reply["items"][0]["sent_at"] is None
    assert reply["items"][1]["sent_at"].endswith("Z")
    assert set(reply["items"][0]) == {
        "id", "kind", "cause", "recipient", "state", "attempts", "queued_at", "sent_at", "last_error"
    }  # fmt: skip
    assert reply["next"] is None


@pytest.mark.parametrize("role", ["ticket", "viewer", "buyer", "admin"])
def test_customers_see_none(app: App, role: str) -> None:
    with pytest.raises(Refusal) as caught:
        list_deliveries(app, identity(role), **ALL)
    assert caught.value.code == "forbidden"


@pytest.mark.parametrize(
    ("asked", "causes"),
    [
        ({"cause_prefix": "card:"}, ["card:scc_2", "card:scc_1", "card:scc_0"]),
        ({"cause_prefix": "card:scc_1"}, ["card:scc_1"]),
        ({"cause_prefix": "card%"}, []),
        ({"order_id": "ord_0"}, ["receipt:ord_0", "card:scc_0"]),
        ({"order_id": "ord_0", "cause_prefix": "receipt:"}, ["receipt:ord_0"]),
        ({"order_id": "ord_unknown"}, []),
    ],
)
def test_filters(app: App, asked: dict[str, str], causes: list[str]) -> None:
    assert [item["cause"] for item in list_deliveries(app, STAFF, **{**ALL, **asked})["items"]] == causes


def test_pages(app: App) -> None:
    seen, cursor = [], None
    for _ in range(2):
        reply = list_deliveries(app, STAFF, **{**ALL, "limit": 2, "cursor": cursor})
        seen += [item["cause"] for item in reply["items"]]
        cursor = reply["next"]
    assert seen == ["receipt:ord_0", "card:scc_2", "card:scc_1", "card:scc_0"]
    assert cursor is None


def test_the_examples_are_what_the_schemas_allow() -> None:
    example = RPC_EXAMPLES["list_deliveries"]
    load_request(ListDeliveries(), example["request"])
    assert DeliveryList().validate(example["reply"]) == {}
