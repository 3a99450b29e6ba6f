"""A support engineer's ticket: in both modes, over HTTP, with the customer at the other end."""

from __future__ import annotations

import uuid
from datetime import date, timedelta
from typing import Any

import pytest
from store import Client, Store

from chassis.testing import wait_until

pytestmark = pytest.mark.journey

ENGINEER = "sam@punchcard.example"
DEPLOYMENT = "14181363"


def post(client: Client, path: str, body: Any = None, *, key: str | None = None, status: int = 200) -> Any:
    """A POST with a key of its own that must end with that status; asked again while it is not known yet."""
    key = key or str(uuid.uuid4())
    answers: list[Any] = []

    def final() -> bool:
        answers.append(client.insist(lambda: client.ask("POST", path, body, key=key)))
        return bool(answers[-1].status_code != 202)

    wait_until(final, f"{path} to be done")
    assert answers[-1].status_code == status, answers[-1].text
    return answers[-1].json()


def buy_contract(client: Client, deployment: str) -> None:
    """Support for a deployment, with some credits."""
    client.empty_cart()
    line = {
        "sku": "CONTRACT-STANDARD", "quantity": 1, "credit_destination": "organization", "deployment_id": deployment
    }  # fmt: skip
    cart = client.ask("POST", "/v1/cart/lines", line).json()
    client.fulfilled(client.place(client.order_body(cart)).json()["id"])


def mail_about(store: Store, number: str, subject: str) -> Any:
    """The one mail about a ticket with that subject, once it is there."""

    def found() -> list[Any]:
        return [mail for mail in store.mails() if number in mail["text"] and subject in mail["subject"]]

    wait_until(found, f"the mail {subject!r}")
    (mail,) = found()
    return mail


def test_from_preflight_to_a_defect(store: Store) -> None:
    ada, sam, gus = store.client(), store.client(ENGINEER), store.client("gus@globex.example")
    preflight = f"/v1/tickets/preflight?deployment_id={DEPLOYMENT}&cap_credits=60"
    new = {"deployment_id": DEPLOYMENT, "subject": "Calls drop", "description": "All.\nSince today.", "cap_credits": 60}

    # without a contract there is no support
    before = ada.get(preflight)
    assert (before["accepted"], before["deployment"]["id"]) == (False, DEPLOYMENT)
    assert "no_contract" in {reason["code"] for reason in before["reasons"]}
    assert post(ada, "/v1/tickets", new, status=409)["code"] == "no_contract"
    assert gus.ask("GET", preflight).status_code == 404

    buy_contract(ada, DEPLOYMENT)
    covered = ada.get(preflight)
    assert covered["accepted"]
    contract = covered["contracts"][-1]
    assert date.fromisoformat(contract["ends_on"]) - date.fromisoformat(contract["starts_on"]) > timedelta(days=363)
    balance = ada.balance()

    # the customer opens, the engineer finds it in the queue
    key = str(uuid.uuid4())
    ticket = post(ada, "/v1/tickets", new, key=key, status=201)
    path, number = f"/v1/tickets/{ticket['id']}", ticket["number"]
    assert post(ada, "/v1/tickets", new, key=key, status=201)["id"] == ticket["id"]
    assert (ticket["state"], ada.balance(), ada.get("/v1/credits")["held"]) == ("open", balance - 60, 60)
    assert ticket["id"] in {item["id"] for item in sam.get("/v1/admin/tickets?state=open&limit=100")["items"]}
    assert "Credits held: 60" in mail_about(store, number, "Calls drop")["text"]
    assert ada.ask("GET", "/v1/admin/tickets").status_code == 403

    # nobody else sees it
    foreign, none = gus.ask("GET", path), gus.ask("GET", "/v1/tickets/tkt_none")
    assert {**foreign.json(), "correlation_id": ""} == {**none.json(), "correlation_id": ""}
    assert foreign.status_code == 404
    assert ticket["id"] not in {item["id"] for item in gus.get("/v1/tickets?limit=100")["items"]}

    # they talk, the engineer works, once too long, and takes that back
    post(sam, f"{path}/comments", {"text": "Which release?"}, status=201)
    post(sam, f"{path}/comments", {"text": "Smells like ours.", "internal": True}, status=201)
    assert ada.get(path)["state"] == "waiting_for_customer"
    assert "> Which release?" in mail_about(store, number, "Answer to ticket")["text"]
    post(ada, f"{path}/comments", {"text": "21"}, status=201)
    assert [comment["text"] for comment in ada.get(f"{path}/comments")["items"]] == ["Which release?", "21"]
    wrong = post(sam, f"{path}/time", {"minutes": 45, "note": "Another ticket's"}, status=201)["time"][0]["id"]
    post(sam, f"{path}/time", {"reverses": wrong, "note": "Not this one"}, status=201)
    over = post(sam, f"{path}/time", {"minutes": 90, "note": "Traced the calls"}, status=201)
    assert (over["state"], over["credits"]["worked"], over["overrun"]["credits"]) == ("waiting_for_customer", 90, 30)
    assert "More credits needed: 30" in mail_about(store, number, "yes or no")["text"]

    # more needs a yes
    assert gus.ask("POST", f"{path}/overrun", {"approve": True}, key=key).status_code == 404
    assert post(ada, f"{path}/overrun", {"approve": True, "expected_credits": 30})["credits"]["cap"] == 90
    post(sam, f"{path}/time", {"minutes": 5, "note": "Wrote it down"}, status=201)
    assert post(ada, f"{path}/overrun", {"approve": False})["credits"]["written_off"] == 5
    closed = post(sam, f"{path}/close")
    assert (closed["state"], closed["credits"]["debited"], ada.balance()) == ("closed", 90, balance - 90)
    told = mail_about(store, number, "is closed")["text"]
    assert "Credits debited: 90" in told
    assert "Minutes not charged: 5" in told

    # it comes again, and is found to be a defect: all of it comes back
    assert post(ada, f"{path}/reopen", {"cap_credits": 30})["state"] == "open"
    post(sam, f"{path}/time", {"minutes": 10, "note": "Found it"}, status=201)
    assert post(ada, f"{path}/defect", {"reason": "Ours"}, status=403)["code"] == "forbidden"
    found = post(sam, f"{path}/defect", {"reason": "A defect of release 21"})
    assert (found["state"], found["credits"]["given_back"], ada.balance()) == ("closed", 90, balance)
    assert "Credits given back: 90" in mail_about(store, number, "given back")["text"]
    assert ada.get("/v1/credits")["held"] == 0
    kinds = [entry["kind"] for entry in ada.get("/v1/credits/entries?limit=5")["items"]]
    assert kinds == ["give_back", "release", "hold", "hold", "hold"]

    # who did what is on record
    actions = {item["action"] for item in sam.get(f"/v1/admin/audit?subject_id={ticket['id']}&limit=100")["items"]}
    assert actions == {
        "ticket.opened", "ticket.time_noted", "ticket.overrun_approved", "ticket.overrun_declined", "ticket.closed",
        "ticket.reopened", "ticket.defect_found",
    }  # fmt: skip


def test_too_little_and_taken_back(store: Store) -> None:
    """Refused while there are too few credits; and a ticket that nobody has begun costs nothing."""
    ada, deployment = store.client(), "14181363"
    buy_contract(ada, deployment)
    balance = ada.balance()
    new = {"deployment_id": deployment, "subject": "A question", "description": "How?", "cap_credits": balance + 1}
    refused = post(ada, "/v1/tickets", new, status=409)
    assert (refused["code"], refused["balance"]) == ("insufficient_credits", balance)
    ticket = post(ada, "/v1/tickets", {**new, "cap_credits": balance}, status=201)
    assert ada.balance() == 0
    assert post(ada, f"/v1/tickets/{ticket['id']}/close")["credits"]["debited"] == 0
    assert ada.balance() == balance
