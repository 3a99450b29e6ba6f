"""Previewing and claiming."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from chassis.testing import emitted, identity, round_trips
from credits.domain import codes
from credits.messages import Claimed
from credits.storage.tables import LEDGER_TRANSACTION, SUPPORT_CARD
from credits.use_cases.claim_card import claim_card
from credits.use_cases.get_balance import get_balance
from credits.use_cases.preview_card import preview_card
from credits.use_cases.reconcile import reconcile
from kernel.errors import Refusal


def refusal_of(call: Callable[[], object]) -> bytes:
    """What the caller gets to see, byte for byte."""
    with pytest.raises(Refusal) as refused:
        call()
    return json.dumps(refused.value.as_dict()).encode()


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(Refusal) as refused:
        call()
    return refused.value.code


def test_preview_shows_what_a_claim_would_bring(desk):
    _, number, code = desk.buy_card()
    before = emitted(desk.database)
    assert desk.preview(number.lower(), code.lower().replace("-", " ").replace("0", "o").replace("1", "l")) == {
        "number_masked": codes.masked(number),
        "credits": 300,
        "expires_at": desk.clock.now() + timedelta(days=365),
        "organization": {"id": "org_bolt", "name": "Bolt"},
    }
    assert emitted(desk.database) == before
    assert get_balance(desk.app, desk.bolt)["balance"] == 0


def test_claim_moves_the_credits_and_tells_the_issuer(desk):
    card_id, number, code = desk.buy_card()
    desk.clock.advance(hours=1)
    reply = desk.claim(number, code)
    assert reply == {
        "card": {
            "id": card_id, "number_masked": codes.masked(number), "state": "claimed", "credits": 300,
            "issued_at": desk.clock.now() - timedelta(hours=1), "claimed_at": desk.clock.now(),
            "expires_at": desk.clock.now() + timedelta(days=365, hours=-1), "order_id": None,
            "claimant": {"id": "org_bolt", "name": "Bolt"}, "issuer": {"id": "org_acme", "name": "Acme"},
        },
        "credits": 300, "balance": 300, "replayed": False,
    }  # fmt: skip
    assert desk.events("credits.card_claimed.v1") == [
        {
            "card_id": card_id, "number_masked": codes.masked(number), "credits": 300,
            "claimed_at": "2026-11-22T13:00:00.000Z", "issuer": {"id": "org_acme", "name": "Acme"},
            "buyer": {"email": "ada@acme.example", "name": "Ada Buyer", "language": "en"},
            "claimant": {"id": "org_bolt", "name": "Bolt"}, "order_id": "ord_1",
        }
    ]  # fmt: skip
    assert get_balance(desk.app, desk.bolt)["balance"] == 300
    assert get_balance(desk.app, desk.acme)["balance"] == 0
    assert reconcile(desk.app) == []


def test_an_issuer_may_claim_its_own_card(desk, line):
    desk.pay(line("lin_a", credits=100), order_id="ord_0")
    _, number, code = desk.buy_card()
    reply = desk.claim(number, code, desk.acme)
    assert reply["balance"] == 400
    assert reply["card"]["order_id"] == "ord_1"


def not_claimable(desk) -> dict[str, tuple[str, str]]:
    """A number and a sealed code for every reason to refuse."""
    cards = {name: desk.buy_card(order_id=f"ord_{name}")
             for name in ("good", "claimed", "recalled", "frozen", "swept", "other")}  # fmt: skip
    desk.claim(*cards["claimed"][1:])
    for name, state in (("recalled", "recalled"), ("frozen", "frozen"), ("swept", "expired")):
        desk.set_state(cards[name][0], state)
    desk.app.card_validity = timedelta(seconds=0)
    cards["expired"] = desk.buy_card(order_id="ord_expired")
    seal = desk.gateway.seal
    _, number, code = cards["good"]
    flipped = code[:-1] + ("A" if code[-1] != "A" else "B")
    presented = {
        "wrong code": (number, seal(flipped)),
        "code of another card": (number, seal(cards["other"][2])),
        "unknown number": (codes.new_number(), seal(code)),
        "claimed, right code": (cards["claimed"][1], seal(cards["claimed"][2])),
        "claimed, wrong code": (cards["claimed"][1], seal(code)),
        "recalled": (cards["recalled"][1], seal(cards["recalled"][2])),
        "frozen": (cards["frozen"][1], seal(cards["frozen"][2])),
        "expired": (cards["expired"][1], seal(cards["expired"][2])),
        "swept as expired": (cards["swept"][1], seal(cards["swept"][2])),
        "empty code": (number, seal("")),
        "malformed code": (number, seal("?! \U0001f4a9")),
        "very long code": (number, seal("A" * 5000)),
        "empty number": ("", seal(code)),
        "malformed number": ("4111 1111 1111 1111", seal(code)),
        "number with strange characters": ("SCC-\x00\ud800-'; DROP TABLE support_card", seal(code)),
        "code instead of the number": (code, seal(number)),
        "nothing sealed": (number, ""),
        "not sealed": (number, code),
        "not base64": (number, "\u20ac" * 10),
        "sealed for another": (number, desk.app.sealer.seal(code)),
        "cut off": (number, seal(code)[:-8]),
    }
    assert desk.preview(number, code)["credits"] == 300  # the good one is good
    return presented


def test_every_reason_has_the_same_refusal_to_the_byte(desk):
    answers = {}
    for reason, (number, sealed) in not_claimable(desk).items():
        answers["preview", reason] = refusal_of(
            lambda number=number, sealed=sealed: preview_card(
                desk.app, desk.bolt, number=number, sealed_code=sealed, client_address="192.0.2.7"
            )
        )
        answers["claim", reason] = refusal_of(
            lambda number=number, sealed=sealed, reason=reason: claim_card(
                desk.app,
                desk.bolt,
                idempotency_key=reason,
                number=number,
                sealed_code=sealed,
                client_address="192.0.2.7",
            )
        )
    assert len(set(answers.values())) == 1, answers
    assert json.loads(answers["claim", "expired"]) == {
        "kind": "invalid", "code": "card_not_claimable", "errors": [], "extra": {},
        "detail": "This card number and claim code do not belong to a card that can be claimed. "
                  "Check both, or ask its issuer.",
    }  # fmt: skip
    assert get_balance(desk.app, desk.bolt)["balance"] == 300  # of the one that was claimed before


def test_every_reason_costs_the_same_work(desk, monkeypatch):
    """The same statements and the same number of MACs and comparisons, whatever is wrong."""
    presented = not_claimable(desk)
    done = set()
    with round_trips(desk.database) as work:
        for name in ("code_mac", "same_mac"):
            counted = getattr(codes, name)
            monkeypatch.setattr(
                codes, name, lambda *args, counted=counted, name=name: (work.append(name), counted(*args))[1]
            )
        for reason, (number, sealed) in presented.items():
            work.clear()
            refusal_of(lambda number=number, sealed=sealed: preview_card(
                desk.app, desk.bolt, number=number, sealed_code=sealed,
                client_address="192.0.2.7"))  # fmt: skip
            refusal_of(lambda number=number, sealed=sealed, reason=reason: claim_card(
                desk.app, desk.bolt, idempotency_key=reason, number=number, sealed_code=sealed,
                client_address="192.0.2.7"))  # fmt: skip
            # whatever the values, and whichever is the first to have a statement prepared
            done.add(tuple(re.sub("PREPARE [^;]*; ", "", re.sub("'[^']*'", "?", step)) for step in work))
    [same] = done
    assert same.count("code_mac") == same.count("same_mac") == 2


def test_expiry_is_enforced_when_read(desk):
    _, number, code = desk.buy_card()
    desk.clock.advance(days=365, seconds=-1)
    assert desk.preview(number, code)["credits"] == 300
    desk.clock.advance(seconds=1)
    assert code_of(lambda: desk.preview(number, code)) == "card_not_claimable"
    assert code_of(lambda: desk.claim(number, code)) == "card_not_claimable"


@pytest.mark.parametrize("role", ["viewer", "ticket", "finance", "support", "superuser"])
def test_only_buyers_and_admins_claim_and_preview(desk, role):
    _, number, code = desk.buy_card()
    caller = identity(role, organization_id="org_bolt")
    assert code_of(lambda: desk.claim(number, code, caller)) == "forbidden"
    assert code_of(lambda: desk.preview(number, code, caller)) == "forbidden"
    assert desk.claim(number, code, identity("buyer", organization_id="org_bolt"))["balance"] == 300


def test_the_same_key_gives_the_first_answer_again(desk):
    _, number, code = desk.buy_card()
    first = desk.claim(number, code, key="k")
    desk.clock.advance(days=3)
    desk.buy_card(order_id="ord_2")
    again = desk.claim(number.lower(), code.lower(), key="k")
    assert again == {**first, "replayed": True}
    assert Claimed().dump(again) == Claimed().dump(first)
    assert len(desk.events("credits.card_claimed.v1")) == 1


def test_the_same_key_for_another_card_is_refused(desk):
    _, number, code = desk.buy_card()
    _, other, other_code = desk.buy_card(order_id="ord_2")
    desk.claim(number, code, key="k")
    assert code_of(lambda: desk.claim(other, other_code, key="k")) == "idempotency_key_reused"
    assert code_of(lambda: desk.claim(number, other_code, key="k")) == "idempotency_key_reused"
    assert get_balance(desk.app, desk.bolt)["balance"] == 300


def test_the_key_of_another_organisation_is_another_key(desk):
    _, number, code = desk.buy_card()
    desk.claim(number, code, key="k")
    assert code_of(lambda: desk.claim(number, code, desk.acme, key="k")) == "card_not_claimable"


def test_a_refused_claim_does_not_use_up_its_key(desk):
    _, number, code = desk.buy_card()
    assert code_of(lambda: desk.claim(number, "typo", key="k")) == "card_not_claimable"
    assert desk.claim(number, code, key="k")["replayed"] is False


def test_a_crash_in_a_claim_uses_up_neither_key_nor_card(desk, monkeypatch):
    _, number, code = desk.buy_card()
    with monkeypatch.context() as patch:
        patch.setattr("credits.use_cases.claim_card._card_claimed", lambda *_: 1 / 0)  # the last step before the commit
        with pytest.raises(ZeroDivisionError):
            desk.claim(number, code, key="k")
    assert get_balance(desk.app, desk.bolt)["balance"] == 0
    assert desk.claim(number, code, key="k")["replayed"] is False
    assert desk.claim(number, code, key="k")["replayed"] is True
    assert get_balance(desk.app, desk.bolt)["balance"] == 300


def attempt(claim: Callable[[], dict]) -> str:
    try:
        return "replayed" if claim()["replayed"] else "claimed"
    except Refusal as refusal:
        return refusal.code


def test_fifty_claims_of_one_card_at_once(desk):
    card_id, number, code = desk.buy_card()
    claimants = [identity("buyer", organization_id=f"org_{n % 5}") for n in range(50)]
    with ThreadPoolExecutor(50) as threads:
        outcomes = list(threads.map(lambda caller: attempt(lambda: desk.claim(number, code, caller)), claimants))
    assert sorted(outcomes) == ["card_not_claimable"] * 49 + ["claimed"]
    winner = claimants[outcomes.index("claimed")].organization_id
    balances = {caller.organization_id: get_balance(desk.app, caller)["balance"] for caller in claimants}
    assert balances == {f"org_{n}": 300 if f"org_{n}" == winner else 0 for n in range(5)}
    with desk.database.reading() as reader:
        causes = reader.scalar(sa.select(sa.func.count()).where(LEDGER_TRANSACTION.c.card_id == card_id))
        claimant = reader.scalar(sa.select(SUPPORT_CARD.c.claimant_id).where(SUPPORT_CARD.c.id == card_id))
    assert (causes, claimant) == (2, winner)
    assert len(desk.events("credits.card_claimed.v1")) == 1
    assert reconcile(desk.app) == []


def test_fifty_claims_with_one_key_at_once(desk):
    _, number, code = desk.buy_card()
    with ThreadPoolExecutor(50) as threads:
        outcomes = list(threads.map(lambda _: attempt(lambda: desk.claim(number, code, key="k")), range(50)))
    assert sorted(outcomes) == ["claimed"] + ["replayed"] * 49
    assert get_balance(desk.app, desk.bolt)["balance"] == 300
    assert reconcile(desk.app) == []
