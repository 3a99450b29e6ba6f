"""Whatever people do, in whatever order, and whatever goes astray in between: the store does what a dictionary says.

Hypothesis makes up the steps. After each, balances, cards, orders and the provider's book are what the dictionary has,
and the ledger finds nothing wrong with itself; whenever nothing is under way, neither does `punchcard.reconcile`.
`make test` runs a few walks, always the same ones; `make faults` many, new ones each time.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from model.in_process import DEPLOYMENTS, ORGANIZATIONS, STAFF, InProcessStore, buyers
from store import number_and_code

from chassis.identity import Identity
from chassis.testing import identity
from kernel.clock import rfc3339
from kernel.errors import Refusal
from payments.offline_provider.disputes import NotDisputableError
from punchcard.reconcile import Break, collect, find_breaks

#: How many walks, of how many steps, and which ones. `make faults` asks for more and for others.
WALKS = int(os.environ.get("MODEL_WALKS", "8"))
STEPS = int(os.environ.get("MODEL_STEPS", "20"))
SEED = int(os.environ.get("MODEL_SEED", "1"))

TIMERS = (
    ("payments", "settle_payments"),
    ("cart", "resume_orders"),
    ("payments", "settle_refunds"),
    ("payments", "follow_disputes"),
    ("cart", "resume_refunds"),
    ("support", "resume_tickets"),
)
PACKS = {"HOURLY-120": 120, "HOURLY-300": 300, "CONTRACT-STANDARD": 240}
PRICES = {"HOURLY-120": 24000, "HOURLY-300": 57000, "CONTRACT-STANDARD": 180000}
VALID_DAYS = 365
#: What posts the expiry of what has expired by itself.
SWEEPS = (("credits", "expire_cards"), ("credits", "expire_credits"), ("cart", "chase_quotes"))
#: The states of a card that has its credits.
HOLDING = ("issued", "frozen")
#: The states of a refund with which nobody goes on.
ENDED = ("done", "failed")
BUYERS = buyers()

_people = st.sampled_from(BUYERS)
_seeds = st.integers(0, 2**16)
#: What goes astray on the way to the provider, or on the way from cart to payments.
_mishaps = st.sampled_from(["none", "none", "none", "provider request", "provider answer", "rpc request", "rpc answer"])
_refund_mishaps = st.sampled_from(
    ["none", "none", "none", "credits request", "credits answer", "provider request", "provider answer", "rpc request",
     "rpc answer"]
)  # fmt: skip
_ticket_mishaps = st.sampled_from(["none", "none", "none", "request", "answer"])
_LIVE = ("open", "waiting_for_customer")


def _turn(lot: dict[str, Any]) -> tuple[Any, ...]:
    """In which order credits are used."""
    expires_at = lot["expires_at"]
    return expires_at is None, expires_at and expires_at.timestamp(), not lot["free"], lot["place"]


class Templates:
    """Databases to copy, made once."""

    folder = Path()


class Store(RuleBasedStateMachine):
    """The store, and a dictionary of what it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="punchcard-model-"))
        self.store = InProcessStore(Templates.folder, self.folder)
        self.expected: dict[str, Any] = {
            "lots": {
                organization_id: [] for organization_id in ORGANIZATIONS
            },  # how many came, of which order, and are left
            "cards": [],  # credits, state, issuer, order; number and code once the mail has come
            "orders": {},  # by id: whose, what, of which quote, and what must become of it
            "quotes": {},  # by id: whose, what, at which price, until when
            "tickets": {},  # by id: whose, what was worked, which credits are held for it and which it has spent
        }
        self.read_mails = 0

    @initialize(seed=_seeds)
    def open_with_some_sold(self, seed: int) -> None:
        """A walk begins with a quote, cards in people's hands, credits and a contract: all can be done at once."""
        acme, globex = BUYERS
        self.ask_for_quote(acme, "HOURLY-120", 2, "support_card")
        self.place(acme, "HOURLY-300", 2, "support_card", "success", "none", seed, at_once=False)
        self.place(globex, "CONTRACT-STANDARD", 1, "organization", "success", "none", seed + 1, at_once=True)

    # --- what people do -----------------------------------------------------------------------------------------------

    @rule(
        buyer=_people, sku=st.sampled_from(list(PACKS)), quantity=st.integers(1, 2),
        destination=st.sampled_from(["organization", "support_card"]),
        card=st.sampled_from(["success", "success", "success", "declined"]), mishap=_mishaps, seed=_seeds,
        at_once=st.booleans(),
    )  # fmt: skip
    def place(
        self, buyer: Identity, sku: str, quantity: int, destination: str, card: str, mishap: str, seed: int,
        at_once: bool,
    ) -> None:  # fmt: skip
        """Fill the cart anew, order it and pay by card; sometimes everything that comes of it happens at once."""
        quantity = 1 if sku.startswith("CONTRACT") else quantity
        self._fill_cart(buyer, sku, quantity, destination)
        request = {
            "idempotency_key": str(uuid.UUID(int=Random(seed).getrandbits(128))),
            "payment": {"method": "card", "provider_token": f"tok_test_{card}"}, "accept_terms": "2026-11",
            "client_address": "192.0.2.7",
        }  # fmt: skip
        busy = [
            order for order in self._orders(buyer)
            if order["quote"] is None and self._state(order) == "pending_payment"
        ]  # fmt: skip
        reused = [
            order for order in self._orders(buyer) if order["request"]["idempotency_key"] == request["idempotency_key"]
        ]
        order = {
            "buyer": buyer, "sku": sku, "quantity": quantity, "destination": destination, "request": request,
            "paid": card == "success", "total": PRICES[sku] * quantity, "credited": False,
            "refund": None, "taken_back": False, "wished": False, "quote": None, "dispute": None,
        }  # fmt: skip
        self._let_astray(mishap)
        outcome = self._ask_to_order(buyer, request)
        self.store.provider.lost, self.store.bus.lost = None, {}
        if reused:
            assert outcome.get("code") == "idempotency_key_reused" or outcome["id"] == reused[0]["id"]
        elif busy:
            assert outcome == {"code": "order_in_progress"}
        else:
            self.expected["orders"][outcome["id"]] = {"id": outcome["id"], **order}
            told = {"none": 201 if order["paid"] else "card_declined"}.get(mishap, 202)
            assert outcome["told"] == told
        if at_once:
            self._settle(Random(seed))

    @precondition(lambda self: self.expected["orders"])
    @rule(number=_seeds)
    def ask_again(self, number: int) -> None:
        """Send the same order with the same key: it is the same order."""
        order = self._any(self.expected["orders"], number)
        outcome = self._ask_to_order(order["buyer"], order["request"])
        assert outcome.get("code") == "idempotency_key_in_flight" or outcome["id"] == order["id"]

    @precondition(lambda self: self.expected["orders"])
    @rule(number=_seeds, mishap=_mishaps)
    def cancel(self, number: int, mishap: str) -> None:
        """Cancel an order: nothing is charged then, ever; or it is paid; or nobody knows yet."""
        order = self._any(self.expected["orders"], number)
        before = self._state(order)
        self._let_astray(mishap, "payments.void")
        try:
            told = self.store.call(
                order["buyer"], "cart", "cancel_order", id=order["id"], idempotency_key=uuid.uuid4().hex
            )["status"]  # fmt: skip
        except Refusal as refusal:
            told = refusal.code
        self.store.provider.lost, self.store.bus.lost = None, {}
        if before in ("paid", "fulfilled", "refunded"):
            assert told == "order_already_paid"
        else:
            assert told in ([200] if before == "cancelled" else [200, 202, "order_already_paid"])
        if told == 200:
            order["paid"] = False
            assert self._state(order) == "cancelled"
        elif told == 202:
            order["wished"] = True

    @rule(
        buyer=_people, sku=st.sampled_from(list(PACKS)), quantity=st.integers(1, 2),
        destination=st.sampled_from(["organization", "support_card"]),
    )  # fmt: skip
    def ask_for_quote(self, buyer: Identity, sku: str, quantity: int, destination: str) -> None:
        """Fill the cart anew and ask what it would cost: the lines leave the cart, and nothing comes of it yet."""
        quantity = 1 if sku.startswith("CONTRACT") else quantity
        self._fill_cart(buyer, sku, quantity, destination)
        reply = self.store.call(
            buyer, "cart", "place_order", idempotency_key=uuid.uuid4().hex, payment={"method": "quote"},
            accept_terms="2026-11", client_address="192.0.2.7",
        )  # fmt: skip
        quote = reply["order"]
        assert quote["totals"]["total"]["amount_minor"] == PRICES[sku] * quantity
        self.expected["quotes"][quote["id"]] = {
            "id": quote["id"], "buyer": buyer, "sku": sku, "quantity": quantity, "destination": destination,
            "expires_at": datetime.fromisoformat(quote["expires_at"]), "cancelled": False,
        }  # fmt: skip

    @precondition(lambda self: self.expected["quotes"])
    @rule(
        number=_seeds, card=st.sampled_from(["success", "success", "declined"]), mishap=_mishaps, at_once=st.booleans()
    )
    def convert_quote(self, number: int, card: str, mishap: str, at_once: bool) -> None:
        """Make an order of a quote: once, and not after its last day; after a decline it is open as before."""
        quote = self._any(self.expected["quotes"], number)
        state, buyer = self._state_of_quote(quote), quote["buyer"]
        request = {
            "id": quote["id"], "idempotency_key": uuid.uuid4().hex,
            "payment": {"method": "card", "provider_token": f"tok_test_{card}"},
        }  # fmt: skip
        self._let_astray(mishap)
        outcome = self._ask_to_order(buyer, request)
        self.store.provider.lost, self.store.bus.lost = None, {}
        if state != "open":
            assert outcome == {"code": f"quote_{state}"}
            return
        same = {name: quote[name] for name in ("buyer", "sku", "quantity", "destination")}
        order = {
            "id": outcome["id"], **same, "request": request, "paid": card == "success",
            "total": PRICES[quote["sku"]] * quote["quantity"], "credited": False, "refund": None, "taken_back": False,
            "wished": False, "quote": quote["id"], "dispute": None,
        }  # fmt: skip
        self.expected["orders"][outcome["id"]] = order
        assert outcome["told"] == {"none": 201 if order["paid"] else "card_declined"}.get(mishap, 202)
        if at_once:
            self._settle(Random(number))

    @precondition(lambda self: self.expected["quotes"])
    @rule(number=_seeds)
    def cancel_quote(self, number: int) -> None:
        """Give a quote up."""
        quote = self._any(self.expected["quotes"], number)
        state = self._state_of_quote(quote)
        request = {"id": quote["id"], "idempotency_key": uuid.uuid4().hex}
        if state in ("open", "cancelled"):
            reply = self.store.call(quote["buyer"], "cart", "cancel_order", **request)
            assert (reply["status"], reply["order"]["state"]) == (200, "cancelled")
            quote["cancelled"] = True
        else:
            with pytest.raises(Refusal, match=f"quote_{state}"):
                self.store.call(quote["buyer"], "cart", "cancel_order", **request)

    @precondition(lambda self: self._named_cards())
    @rule(number=_seeds, claimant=_people, right=st.sampled_from([True, True, True, False]))
    def claim(self, number: int, claimant: Identity, right: bool) -> None:
        """Claim a card, with the code from the mail or with a wrong one."""
        card = self._any_card(number)
        code = card["code"] if right else card["code"][:-1] + ("A" if card["code"][-1] != "A" else "B")
        request = {
            "number": card["number"],
            "sealed_code": self.store.sealed(code),
            "idempotency_key": uuid.uuid4().hex,
            "client_address": "192.0.2.7",
        }
        self.store.clock.advance(minutes=11)  # nobody is held up for guessing too fast: other tests see to that
        if right and self._state_of_card(card) == "issued" and not card["renewed"]:
            reply = self.store.call(claimant, "credits", "claim_card", **request)
            card["state"] = "claimed"
            self._credit(claimant.organization_id, card["credits"], of_order=None)
            assert reply["balance"] == self._balance(claimant.organization_id)
        else:
            with pytest.raises(Refusal, match="card_not_claimable"):
                self.store.call(claimant, "credits", "claim_card", **request)

    @precondition(lambda self: self._named_cards())
    @rule(number=_seeds, who=_people)
    def recall(self, number: int, who: Identity) -> None:
        """Take a card back, as its issuer or as somebody else."""
        card = self._any_card(number)
        request = {"card_id": self._id_of(card), "idempotency_key": uuid.uuid4().hex}
        state = self._state_of_card(card)
        if who.organization_id == card["issuer"] and state in HOLDING and not card["before"]:
            reply = self.store.call(who, "credits", "recall_card", **request)
            card["state"] = "recalled"
            self._credit(card["issuer"], card["credits"], of_order=card["order"])
            assert reply["balance"] == self._balance(card["issuer"])
        else:
            refusal = self._no_such_card_now(card) if who.organization_id == card["issuer"] else "not_found"
            with pytest.raises(Refusal, match=refusal):
                self.store.call(who, "credits", "recall_card", **request)

    @precondition(lambda self: self._named_cards())
    @rule(number=_seeds, who=_people, wish=st.sampled_from(["freeze", "unfreeze", "reissue"]))
    def change_card(self, number: int, who: Identity, wish: str) -> None:
        """Freeze a card, let it be claimed again, or have another code for it; as its issuer or as somebody else."""
        card = self._any_card(number)
        if wish == "reissue" and card["renewed"]:
            return  # of two codes under way nobody could tell which is the newer one
        state = self._state_of_card(card)
        allowed = {"freeze": ("issued",), "unfreeze": ("frozen",), "reissue": HOLDING}[wish]
        refusal = "card_not_frozen" if (wish, state) == ("unfreeze", "issued") else self._no_such_card_now(card)
        may = state in allowed and not card["before"]
        told = self._ask_of_card(who, card, f"{wish}_card", None if may else refusal)
        if told is None:
            return
        if wish == "reissue":
            card["renewed"] = True  # the old code is dead before the new one has come
        else:
            card["state"] = "frozen" if wish == "freeze" else "issued"

    @precondition(lambda self: self._named_cards())
    @rule(number=_seeds, who=_people, first=st.integers(1, 400))
    def split(self, number: int, who: Identity, first: int) -> None:
        """Make two cards of one, that have together what it had."""
        card = self._any_card(number)
        state, parts = self._state_of_card(card), [first, max(1, card["credits"] - first)]
        adds_up = sum(parts) == card["credits"]
        refusal = self._no_such_card_now(card) if state != "issued" else None if adds_up else "not_a_split"
        if self._ask_of_card(who, card, "split_card", refusal, credits=parts) is not None:
            card["state"] = "split"
            self.expected["cards"] += [
                {**card, "number": None, "code": None, "credits": credits, "state": "issued", "renewed": False,
                 "part": True}
                for credits in parts
            ]  # fmt: skip

    @rule(
        whose=st.sampled_from(list(ORGANIZATIONS)), credits=st.integers(1, 100),
        days=st.none() | st.integers(1, 100), again=st.booleans(),
    )  # fmt: skip
    def grant(self, whose: str, credits: int, days: int | None, again: bool) -> None:
        """Finance gives credits for free, which may expire; asked twice it gives them once."""
        until = None if days is None else self.store.clock.now() + timedelta(days=days)
        request = {
            "organization_id": whose, "credits": credits, "reason": "Sorry", "idempotency_key": uuid.uuid4().hex,
            "expires_at": rfc3339(until) if until else None,
        }  # fmt: skip
        self._credit(whose, credits, of_order=None, expires_at=until, free=True)
        for _ in range(1 + again):
            reply = self.store.call(STAFF, "credits", "grant_credits", **request)
            assert reply["balance"] == self._balance(whose)

    @rule(whose=st.sampled_from(list(ORGANIZATIONS)), credits=st.integers(1, 400))
    def spend(self, whose: str, credits: int) -> None:
        """Support spends credits of an organisation."""
        cause = uuid.uuid4().hex
        request = {
            "organization_id": whose,
            "credits": credits,
            "cause": cause,
            "memo": "Work",
            "idempotency_key": cause,
        }
        if credits <= self._balance(whose):
            reply = self.store.call(STAFF, "credits", "spend", **request)
            self._draw(whose, credits)
            assert reply["balance"] == self._balance(whose)
        else:
            with pytest.raises(Refusal, match="insufficient_credits"):
                self.store.call(STAFF, "credits", "spend", **request)

    @precondition(lambda self: self.expected["orders"])
    @rule(number=_seeds, decision=st.sampled_from(["refuse", "refuse", "refund_anyway"]), mishap=_refund_mishaps)
    def refund(self, number: int, decision: str, mishap: str) -> None:
        """Finance gives the money of an order back, whatever has become of its credits; or may not."""
        order = self._any(self.expected["orders"], number)
        refused = self._may_not_refund(order)
        if refused is None and mishap != "credits request" and decision == "refuse":
            refused = "credits_in_use" if self._in_use(order) else None
        self._let_refund_astray(mishap)
        outcome = self._ask_to_refund(order, decision)
        self.store.provider.lost, self.store.bus.lost = None, {}
        if refused is not None:
            assert outcome == refused
            return
        order["refund"] = {"decision": decision, "state": "taking_back", "taken": False}
        if mishap != "credits request" and not (decision == "refuse" and self._in_use(order)):
            self._take_back(order)
            order["refund"]["taken"] = True
            order["refund"]["state"] = "taking_back" if mishap == "credits answer" else "returning_money"
        if mishap == "none":
            order["refund"]["state"] = "failed" if self._payer_has_money(order) else "done"
        assert outcome == {"failed": "refund_failed"}.get(order["refund"]["state"], order["refund"]["state"])

    @precondition(lambda self: self.expected["orders"])
    @rule(number=_seeds, heard=st.booleans())
    def dispute(self, number: int, heard: bool) -> None:
        """The payer of an order has the bank take the money back; we hear of it at once, or when we ask."""
        order = self._any(self.expected["orders"], number)
        succeeded = [each for each in self.store.book.by_reference(order["id"]) if each["status"] == "succeeded"]
        if self.store.amounts(order["id"]) != [order["total"]] or order["id"] in self.store.disputes():
            for charge in succeeded:
                with pytest.raises(NotDisputableError):
                    self.store.network.open(charge["id"], "fraudulent")
            return
        [charge] = succeeded
        self.store.network.open(charge["id"], "fraudulent")
        if heard:
            self.store.run("payments", "follow_disputes")

    @precondition(lambda self: "open" in self.store.disputes().values())
    @rule(number=_seeds, outcome=st.sampled_from(["won", "lost"]), heard=st.booleans())
    def decide_dispute(self, number: int, outcome: str, heard: bool) -> None:
        """The card network decides, maybe before we have heard that there is a dispute."""
        still_open = [order_id for order_id, state in self.store.disputes().items() if state == "open"]
        [found] = self.store.network.by_reference(still_open[number % len(still_open)])
        self.store.network.close(found["id"], outcome)
        if heard:
            self.store.run("payments", "follow_disputes")

    @rule(buyer=_people, cap=st.integers(1, 200), mishap=_ticket_mishaps)
    def open_ticket(self, buyer: Identity, cap: int, mishap: str) -> None:
        """Open a ticket on a deployment with a contract; or be told why not, as the preflight does."""
        about = {"deployment_id": DEPLOYMENTS[buyer.organization_id], "cap_credits": cap}
        found = self.store.call(buyer, "support", "preflight", **about)
        short = self._balance(buyer.organization_id) < cap
        refused = "no_contract" if not found["contracts"] else "insufficient_credits" if short else None
        assert found["accepted"] == (refused is None)
        told = self._ask_support(buyer, "open_ticket", "hold", mishap, subject="Calls", description="Drop", **about)
        if refused is not None:
            assert told == refused
            return
        ticket = {
            "id": told["ticket"]["id"], "buyer": buyer, "state": "opening", "cap": cap, "worked": 0, "off": 0,
            "debited": 0, "given": 0, "held": [], "spent": [], "pending": None, "closed": False, "defect": False,
            "begun": False,
        }  # fmt: skip
        self.expected["tickets"][ticket["id"]] = ticket
        self._move(ticket, "hold", mishap, cap)
        assert told["status"] == (201 if mishap == "none" else 202)

    @precondition(lambda self: self.expected["tickets"])
    @rule(number=_seeds, minutes=st.integers(1, 150))
    def work(self, number: int, minutes: int) -> None:
        """Support notes time, and the customer is asked for what is beyond the cap."""
        ticket = self._any(self.expected["tickets"], number)
        told = self._ask_support(
            STAFF, "add_time", "", "none", id=ticket["id"], minutes=minutes, note="Looked"
        )  # fmt: skip
        if self._not_live(ticket, told):
            return
        ticket["worked"] += minutes
        ticket["begun"] = True
        if self._overrun(ticket):
            ticket["state"] = "waiting_for_customer"

    @precondition(lambda self: self.expected["tickets"])
    @rule(number=_seeds, approve=st.booleans(), mishap=_ticket_mishaps)
    def answer_overrun(self, number: int, approve: bool, mishap: str) -> None:
        """Yes or no to more credits."""
        ticket = self._any(self.expected["tickets"], number)
        asked, buyer = self._overrun(ticket), ticket["buyer"]
        told = self._ask_support(buyer, "answer_overrun", "raise_hold", mishap, id=ticket["id"], approve=approve)
        if self._not_live(ticket, told):
            return
        if not asked:
            assert told == "overrun_not_asked"
        elif not approve:
            ticket.update(off=ticket["off"] + asked, state="open")
        elif self._balance(buyer.organization_id) < asked and mishap != "request":
            assert told == "insufficient_credits"
        else:
            self._move(ticket, "raise", mishap, asked)
            assert told["status"] == (200 if mishap == "none" else 202)

    @precondition(lambda self: self.expected["tickets"])
    @rule(number=_seeds, defect=st.booleans(), mishap=_ticket_mishaps)
    def close_ticket(self, number: int, defect: bool, mishap: str) -> None:
        """Debit what was worked and agreed to; nothing for a defect, which gives back what was debited before."""
        ticket = self._any(self.expected["tickets"], number)
        method = "give_back_defect" if defect else "close_ticket"
        live = ticket["state"] in _LIVE
        reason = {"reason": "Ours"} if defect else {}
        told = self._ask_support(
            STAFF, method, "settle_hold" if live else "give_back_hold", mishap, id=ticket["id"], **reason
        )  # fmt: skip
        if defect and ticket["state"] == "closed" and ticket["pending"] is None:
            if ticket["defect"]:
                assert told == "ticket_is_defect"
                return
            ticket["defect"] = True
            self._move(ticket, "give_back", mishap, 0)
        elif self._not_live(ticket, told):
            return
        else:
            spent = 0 if defect else min(ticket["worked"] - ticket["off"], ticket["cap"])
            ticket.update(state="closing", off=ticket["worked"] - spent, defect=defect)
            self._move(ticket, "settle", mishap, spent)
        assert told["status"] == (200 if mishap == "none" else 202)

    @precondition(lambda self: self.expected["tickets"])
    @rule(number=_seeds, cap=st.integers(1, 200), mishap=_ticket_mishaps)
    def reopen_ticket(self, number: int, cap: int, mishap: str) -> None:
        """Open a closed ticket again, with credits held anew."""
        ticket = self._any(self.expected["tickets"], number)
        old = ticket["closed"] and (self.store.clock.now() - ticket["closed"]).total_seconds() > 14 * 86400
        told = self._ask_support(
            ticket["buyer"], "reopen_ticket", "hold", mishap, id=ticket["id"], cap_credits=cap
        )  # fmt: skip
        if ticket["pending"] is not None:
            assert told == "ticket_busy"
        elif ticket["state"] != "closed":
            assert told == "ticket_not_closed"
        elif ticket["defect"] or old:
            assert told == ("ticket_is_defect" if ticket["defect"] else "ticket_closed_too_long")
        elif self._balance(ticket["buyer"].organization_id) < cap:
            assert told == "insufficient_credits"
        else:
            ticket["state"] = "opening"
            self._move(ticket, "hold", mishap, cap)
            assert told["status"] == (200 if mishap == "none" else 202)

    # --- what happens by itself ---------------------------------------------------------------------------------------

    @rule(seed=_seeds, most=st.integers(1, 5))
    def some_events_arrive(self, seed: int, most: int) -> None:
        """Some, in any order."""
        self._note(self.store.deliver(Random(seed), most))

    @rule(seed=_seeds)
    def everything_settles(self, seed: int) -> None:
        """All timers run and all events arrive, until nothing is under way."""
        self._settle(Random(seed))

    @rule(seed=_seeds, number=st.integers(1, 6))
    def events_come_again(self, seed: int, number: int) -> None:
        """The broker delivers what was handled before."""
        self.store.redeliver(Random(seed), number)

    @rule()
    def mails_go_out(self) -> None:
        """The sender runs."""
        self._send_mails()

    @rule()
    def the_sweep_runs(self) -> None:
        """What has expired is posted; that it cannot be claimed, spent or converted did not wait for it."""
        for service, timer in SWEEPS:
            self.store.run(service, timer)
        for card in self.expected["cards"]:
            if self._state_of_card(card) == "expired":
                card["state"] = "expired"

    @rule(days=st.integers(1, 150))
    def time_passes(self, days: int) -> None:
        """Cards, credits and quotes expire in the end."""
        self.store.clock.advance(days=days)

    # --- what must be so ----------------------------------------------------------------------------------------------

    @invariant()
    def balances_are_those_of_the_dictionary(self) -> None:
        for buyer in BUYERS:
            found = self.store.call(buyer, "credits", "get_balance")
            assert found["balance"] == self._balance(buyer.organization_id)
            mine = [ticket for ticket in self.expected["tickets"].values() if ticket["buyer"] is buyer]
            disputed = sum(lot["disputed"] for lot in self.expected["lots"][buyer.organization_id])
            assert found["held"] == disputed + sum(part[1] for ticket in mine for part in ticket["held"])

    @invariant()
    def tickets_are_those_of_the_dictionary(self) -> None:
        for ticket in self.expected["tickets"].values():
            found = self.store.call(ticket["buyer"], "support", "get_ticket", id=ticket["id"])
            assert found["state"] == ticket["state"]
            assert found["credits"] == {
                "cap": ticket["cap"], "worked": ticket["worked"], "written_off": ticket["off"],
                "debited": ticket["debited"], "given_back": ticket["given"],
            }  # fmt: skip
            asked = found["overrun"]["credits"] if found["overrun"] else 0
            assert asked == self._overrun(ticket)

    @invariant()
    def cards_are_those_of_the_dictionary(self) -> None:
        for buyer in BUYERS:
            listed = self.store.call(buyer, "credits", "list_cards", role="issuer", limit=100)["items"]
            found = sorted((card["state"], card["credits"]) for card in listed)
            mine = [card for card in self.expected["cards"] if card["issuer"] == buyer.organization_id]
            assert found == sorted((self._state_of_card(card), card["credits"]) for card in mine)

    @invariant()
    def quotes_are_those_of_the_dictionary(self) -> None:
        for quote in self.expected["quotes"].values():
            found = self.store.call(quote["buyer"], "cart", "get_order", id=quote["id"])
            assert found["state"] == self._state_of_quote(quote)
            assert (found["payment"]["state"], self.store.amounts(quote["id"])) == ("not_due", [])

    @invariant()
    def orders_and_charges_are_those_of_the_dictionary(self) -> None:
        for order in self.expected["orders"].values():
            state = self._state(order)
            charged = self.store.amounts(order["id"])
            refund = order["refund"]
            if not order["paid"]:
                assert (charged, refund) == ([], None)
                assert state in ("pending_payment", "cancelled")
            elif refund is None or refund["state"] == "taking_back":
                assert charged in ([order["total"]], [])
                assert state in ("pending_payment", "paid", "fulfilled")
                assert charged or state == "pending_payment"
            elif refund["state"] == "returning_money":
                assert charged in ([order["total"]], [order["total"], -order["total"]])
                assert state == "fulfilled" or (state, len(charged)) == ("refunded", 2)
            elif refund["state"] == "failed":
                assert (charged, state) == ([order["total"]], "fulfilled")
            else:
                assert (charged, state) == ([order["total"], -order["total"]], "refunded")

    @invariant()
    def the_ledger_finds_nothing_wrong(self) -> None:
        assert self.store.call(STAFF, "credits", "reconcile")["breaks"] == []

    @invariant()
    def nothing_is_lost_or_doubled_once_it_is_quiet(self) -> None:
        if self._is_quiet():
            self._reconcile()

    def teardown(self) -> None:
        """However a walk ends: once everything has settled, nothing is lost and nothing is doubled."""
        try:
            self._settle(Random(0))
            self._reconcile()
        finally:
            self.store.close()
            shutil.rmtree(self.folder)

    # --- helpers ------------------------------------------------------------------------------------------------------

    def _fill_cart(self, buyer: Identity, sku: str, quantity: int, destination: str) -> None:
        for line in self.store.call(buyer, "cart", "get_cart")["lines"]:
            self.store.call(buyer, "cart", "remove_line", line_id=line["id"])
        bound = {"deployment_id": DEPLOYMENTS[buyer.organization_id]} if sku.startswith("CONTRACT") else {}
        self.store.call(
            buyer, "cart", "add_line", sku=sku, quantity=quantity, credit_destination=destination, **bound
        )  # fmt: skip

    def _let_astray(self, mishap: str, call: str = "payments.collect") -> None:
        where, _, what = mishap.partition(" ")
        if where == "provider":
            self.store.provider.lost = what
        elif where == "rpc":
            self.store.bus.lost[call] = what

    def _ask_to_order(self, buyer: Identity, request: dict[str, Any]) -> dict[str, Any]:
        """The order's id and what the buyer was told of it, or the code of the refusal."""
        try:
            reply = self.store.call(buyer, "cart", "convert_quote" if "id" in request else "place_order", **request)
        except Refusal as refusal:
            if refusal.code in ("card_declined", "order_cancelled"):
                return {"id": refusal.extra["order_id"], "told": refusal.code}
            return {"code": refusal.code}
        return {"id": reply["order"]["id"], "told": reply["status"]}

    def _ask_support(self, caller: Identity, method: str, credits_method: str, mishap: str, **request: Any) -> Any:
        """The answer, or the code of the refusal."""
        if mishap != "none":
            self.store.bus.lost[f"credits.{credits_method}"] = mishap
        try:
            return self.store.call(caller, "support", method, idempotency_key=uuid.uuid4().hex, **request)
        except Refusal as refusal:
            return refusal.code
        finally:
            self.store.bus.lost = {}

    def _not_live(self, ticket: dict[str, Any], told: Any) -> bool:
        """Whether nothing could be done about a ticket; then it was said why."""
        if ticket["pending"] is not None:
            assert told == "ticket_busy"
        elif ticket["state"] not in _LIVE:
            assert told == "ticket_not_open"
        else:
            return False
        return True

    @staticmethod
    def _overrun(ticket: dict[str, Any]) -> int:
        """What the customer is asked for."""
        return max(0, ticket["worked"] - ticket["off"] - ticket["cap"]) if ticket["state"] in _LIVE else 0

    def _move(self, ticket: dict[str, Any], step: str, mishap: str, credits: int) -> None:
        """Have credits do something for a ticket; or not yet, or without support having heard of it."""
        ticket["pending"] = {"step": step, "credits": credits, "done": False, "since": self.store.clock.now()}
        if mishap != "request":
            self._credits_do(ticket)
        if mishap == "none":
            self._support_notes(ticket)

    def _credits_do(self, ticket: dict[str, Any]) -> None:
        pending, whose = ticket["pending"], ticket["buyer"].organization_id
        pending["done"] = True
        if pending["step"] in ("hold", "raise"):
            ticket["held"] += self._draw(whose, pending["credits"])
        elif pending["step"] == "settle":
            spent = pending["credits"]
            for lot, credits in sorted(ticket["held"], key=lambda part: _turn(part[0])):
                used = min(spent, credits)
                spent -= used
                if used:
                    ticket["spent"].append([lot, used])
                self._return(lot, credits - used)
            ticket["held"] = []
        else:
            pending["given"] = sum(self._give_back(whose, lot, credits) for lot, credits in ticket["spent"])

    def _return(self, lot: dict[str, Any], credits: int) -> int:
        """Credits go back to their lot, unless its order was refunded meanwhile; frozen, if that is disputed; how
        many did.
        """
        if lot["order"] is not None and self.expected["orders"][lot["order"]]["taken_back"]:
            return 0
        disputed = lot["order"] is not None and self.expected["orders"][lot["order"]]["dispute"] == "open"
        lot["disputed" if disputed else "left"] += credits
        return credits

    def _give_back(self, whose: str, lot: dict[str, Any], credits: int) -> int:
        """The same with credits that were spent; those whose time is over come anew, for as long as any."""
        if lot["expires_at"] is None or lot["expires_at"] > self.store.clock.now():
            return self._return(lot, credits)
        self._credit(whose, credits, of_order=None, free=lot["free"])
        return credits

    def _support_notes(self, ticket: dict[str, Any]) -> None:
        pending = ticket["pending"]
        ticket["pending"] = None
        if pending["step"] == "hold":
            ticket.update(state="open", cap=pending["credits"], worked=0, off=0, begun=False, closed=False)
        elif pending["step"] == "raise":
            ticket.update(state="open", cap=ticket["cap"] + pending["credits"])
        elif pending["step"] == "settle":
            before = ticket["debited"]
            ticket.update(
                state="closed", debited=before + pending["credits"], closed=self.store.clock.now()
            )  # fmt: skip
            if ticket["defect"] and before:
                self._move(ticket, "give_back", "none", 0)
        else:
            ticket["given"] = pending["given"]

    def _tickets_go_on(self) -> None:
        """What the resumption of tickets means: what credits has not done yet it does now, if it can."""
        going = [ticket for ticket in self.expected["tickets"].values() if ticket["pending"] is not None]
        for ticket in sorted(going, key=lambda ticket: (ticket["pending"]["since"], ticket["id"])):
            pending = ticket["pending"]
            needs = pending["credits"] if pending["step"] in ("hold", "raise") and not pending["done"] else 0
            if self._balance(ticket["buyer"].organization_id) >= needs:
                if not pending["done"]:
                    self._credits_do(ticket)
                self._support_notes(ticket)
            elif pending["step"] == "raise":
                ticket["pending"] = None
            elif ticket["closed"]:
                ticket.update(pending=None, state="closed")
            else:
                del self.expected["tickets"][ticket["id"]]

    def _orders(self, buyer: Identity) -> list[dict[str, Any]]:
        return [order for order in self.expected["orders"].values() if order["buyer"] == buyer]

    def _state(self, order: dict[str, Any]) -> str:
        state = str(self.store.call(order["buyer"], "cart", "get_order", id=order["id"])["state"])
        if order["wished"] and state == "cancelled":
            order["paid"] = False  # the wish came before the charge
        return state

    def _state_of_card(self, card: dict[str, Any]) -> str:
        old = (self.store.clock.now() - card["issued_at"]).days >= VALID_DAYS
        return "expired" if card["state"] in HOLDING and old else str(card["state"])

    def _state_of_quote(self, quote: dict[str, Any]) -> str:
        """An order that was cancelled unpaid leaves its quote as it was."""
        made = [order for order in self.expected["orders"].values() if order["quote"] == quote["id"]]
        if any(self._state(order) != "cancelled" for order in made):
            return "converted"
        if quote["cancelled"]:
            return "cancelled"
        return "open" if self.store.clock.now() < quote["expires_at"] else "expired"

    def _no_such_card_now(self, card: dict[str, Any]) -> str:
        """Why nothing can be done with a card in its state."""
        state = self._state_of_card(card)
        return "card_disputed" if state == "frozen" and card["before"] else f"card_{state}"

    def _ask_of_card(self, who: Identity, card: dict[str, Any], method: str, refusal: str | None, **wish: Any) -> Any:
        """The answer; None if it was refused as it must be."""
        request = {"card_id": self._id_of(card), "idempotency_key": uuid.uuid4().hex, **wish}
        refusal = refusal if who.organization_id == card["issuer"] else "not_found"
        if refusal is None:
            return self.store.call(who, "credits", method, **request)
        with pytest.raises(Refusal, match=refusal):
            self.store.call(who, "credits", method, **request)
        return None

    def _note(self, handled: list[tuple[str, str, dict[str, Any]]]) -> None:
        """What the arrival of events means for the dictionary."""
        for consumer, event_type, data in handled:
            if (consumer, event_type) == ("credits", "cart.order_paid.v1"):
                order = self.expected["orders"][data["order_id"]]
                if not order["credited"]:
                    self._credit_order(order)
                order["credited"] = True
            elif consumer == "credits" and event_type.startswith("cart.order_dispute"):
                self._note_dispute(self.expected["orders"][data["order_id"]], data.get("outcome", "open"))

    def _note_dispute(self, order: dict[str, Any], state: str) -> None:
        """The end may arrive before the beginning."""
        if state == "open" and order["dispute"] is None:
            self._freeze(order)
        elif state != "open" and order["dispute"] in (None, "open"):
            self._end_dispute(order, state)

    def _credit_order(self, order: dict[str, Any]) -> None:
        whose, credits = order["buyer"].organization_id, PACKS[order["sku"]]
        if order["destination"] == "organization":
            self._credit(whose, credits * order["quantity"], of_order=order["id"])
            return
        self.expected["cards"] += [
            {"number": None, "code": None, "credits": credits, "state": "issued", "issuer": whose, "order": order["id"],
             "issued_at": self.store.clock.now(), "renewed": False, "part": False,
             "before": None}  # what it was before a dispute froze it
            for _ in range(order["quantity"])
        ]  # fmt: skip

    def _credit(
        self, whose: str, credits: int, of_order: str | None, *, expires_at: datetime | None = None, free: bool = False
    ) -> None:
        lots = self.expected["lots"][whose]
        lots.append(
            {"order": of_order, "came": credits, "left": credits, "disputed": 0, "expires_at": expires_at, "free": free,
             "place": len(lots)}
        )  # fmt: skip

    def _draw(self, whose: str, credits: int) -> list[list[Any]]:
        """Take what expires first, then what was free, then the oldest credits; of which lots how many."""
        parts = []
        for lot in sorted(self._usable(whose), key=_turn):
            taken = min(lot["left"], credits)
            lot["left"] -= taken
            credits -= taken
            if taken:
                parts.append([lot, taken])
        assert credits == 0
        return parts

    def _usable(self, whose: str) -> list[dict[str, Any]]:
        """The lots whose time is not over."""
        now = self.store.clock.now()
        return [
            lot for lot in self.expected["lots"][whose] if lot["expires_at"] is None or lot["expires_at"] > now
        ]  # fmt: skip

    def _balance(self, whose: str) -> int:
        return sum(lot["left"] for lot in self._usable(whose))

    def _lots_of(self, order: dict[str, Any]) -> list[dict[str, Any]]:
        return [lot for lot in self.expected["lots"][order["buyer"].organization_id] if lot["order"] == order["id"]]

    def _cards_of(self, order: dict[str, Any]) -> list[dict[str, Any]]:
        return [card for card in self.expected["cards"] if card["order"] == order["id"]]

    def _in_use(self, order: dict[str, Any]) -> int:
        """How many credits of an order somebody has claimed or spent."""
        claimed = sum(card["credits"] for card in self._cards_of(order) if card["state"] == "claimed")
        return claimed + sum(lot["came"] - lot["left"] for lot in self._lots_of(order))

    def _take_back(self, order: dict[str, Any]) -> None:
        order["taken_back"] = True
        for lot in self._lots_of(order):
            lot["left"] = 0
            lot["disputed"] = 0
        for card in self._cards_of(order):
            if card["state"] in HOLDING:  # whether its time is over or not, unless the sweep was faster
                card["state"] = "recalled"

    def _payer_has_money(self, order: dict[str, Any]) -> bool:
        """Whether the provider refuses to refund an order: its payer's bank has the money, for now or for good."""
        return self.store.disputes().get(order["id"], "won") != "won"

    def _freeze(self, order: dict[str, Any]) -> None:
        order["dispute"] = "open"
        for lot in self._lots_of(order):
            lot["disputed"], lot["left"] = lot["left"], 0
        for card in self._cards_of(order):
            if card["state"] in HOLDING:
                card.update(before=card["state"], state="frozen")

    def _end_dispute(self, order: dict[str, Any], outcome: str) -> None:
        order["dispute"] = outcome
        if outcome == "lost":
            self._take_back(order)
        for lot in self._lots_of(order):
            lot["left"] += lot["disputed"]
            lot["disputed"] = 0
        for card in self._cards_of(order):
            if card["before"] and card["state"] == "frozen":
                card["state"] = card["before"]
            card["before"] = None

    def _may_not_refund(self, order: dict[str, Any]) -> str | None:
        """Why an order cannot be refunded just now, before anybody asks credits."""
        state = self._state(order)
        if state in ("pending_payment", "cancelled"):
            return "order_not_paid"
        if state == "refunded":
            return "order_refunded"
        disputed = self.store.call(order["buyer"], "cart", "get_order", id=order["id"])["dispute"]
        if disputed is not None and disputed["state"] != "won":
            return "order_disputed"
        if order["refund"] is not None and self._refund_of(order) == "failed":
            return "order_has_problem"
        if state == "paid":
            return "order_not_handed_over"
        return "refund_in_progress" if order["refund"] is not None else None

    def _ask_to_refund(self, order: dict[str, Any], decision: str) -> str:
        """The state of the refund, or the code of the refusal."""
        request = {
            "order_id": order["id"],
            "reason": "Why not",
            "claimed": decision,
            "idempotency_key": uuid.uuid4().hex,
        }
        try:
            reply = self.store.call(STAFF, "cart", "refund_order", **request)
        except Refusal as refusal:
            return refusal.code
        return str(reply["refund"]["state"])

    def _let_refund_astray(self, mishap: str) -> None:
        where, _, what = mishap.partition(" ")
        if where == "provider":
            self.store.provider.lost = what
        elif where != "none":
            self.store.bus.lost["credits.take_back_order" if where == "credits" else "payments.refund"] = what

    def _refunds_go_on(self) -> None:
        """What the resumption of refunds means for the dictionary: credits decides now, unless it has before."""
        for order in self.expected["orders"].values():
            refund = order["refund"]
            if refund is None or refund["state"] in ENDED:
                continue
            if not refund["taken"]:
                frozen = order["dispute"] in ("open", "lost")
                if frozen or (refund["decision"] == "refuse" and self._in_use(order)):
                    order["refund"] = None
                    continue
                self._take_back(order)
                refund["taken"] = True
            refund["state"] = "returning_money"
            if self._refund_of(order) in ENDED:
                refund["state"] = self._refund_of(order)

    def _refund_of(self, order: dict[str, Any]) -> str:
        return str(self.store.call(STAFF, "cart", "get_refund", order_id=order["id"])["state"])

    def _id_of(self, card: dict[str, Any]) -> str:
        issuer = next(buyer for buyer in BUYERS if buyer.organization_id == card["issuer"])
        listed = self.store.call(issuer, "credits", "list_cards", role="issuer", limit=100)["items"]
        [found] = [each for each in listed if each["number_masked"][-4:] == card["number"][-4:]]
        return str(found["id"])

    def _named_cards(self) -> list[dict[str, Any]]:
        """The cards whose mails have come."""
        return [card for card in self.expected["cards"] if card["number"] is not None]

    def _send_mails(self) -> None:
        self.store.run("notifications", "send_mails")
        mails = self.store.mailbox.mails
        while self.read_mails < len(mails):
            self._read_mail(mails[self.read_mails])
            self.read_mails += 1

    def _read_mail(self, mail: EmailMessage) -> None:
        body = mail.get_body(("plain",))
        assert body is not None
        text = body.get_content()
        if "Claim code:" not in text:
            return
        number, code = number_and_code({"text": text})
        [order] = [found for found in self.expected["orders"].values() if self._number(found) in text]
        for card in self.expected["cards"]:
            if card["number"] == number:
                assert card["renewed"], "one card, one mail"
                card.update(code=code, renewed=False)
                return
        # the cards of an order whose mails have not come are alike: nobody could do anything with one of them
        alike = [card for card in self._cards_of(order) if f"Credits: {card['credits']} (" in text]
        card = next(card for card in alike if card["number"] is None)
        card.update(number=number, code=code)

    def _number(self, order: dict[str, Any]) -> str:
        return str(self.store.call(order["buyer"], "cart", "get_order", id=order["id"])["number"])

    def _settle(self, random: Random) -> None:
        while not self._is_quiet():
            self.store.clock.advance(seconds=60)
            for service, timer in TIMERS:
                self.store.run(service, timer)
            self._refunds_go_on()
            self._tickets_go_on()
            self._note(self.store.deliver(random))
            self._send_mails()

    def _is_quiet(self) -> bool:
        """Whether nothing is under way: no payment, no event, no mail."""
        if not self.store.quiet or any(
            self._state(order) == "pending_payment" for order in self.expected["orders"].values()
        ):
            return False
        orders = self.expected["orders"].values()
        if any(order["refund"] and order["refund"]["state"] not in ENDED for order in orders):
            return False
        if self.store.disputes() != {order["id"]: order["dispute"] for order in orders if order["dispute"]}:
            return False
        if any(ticket["pending"] is not None for ticket in self.expected["tickets"].values()):
            return False
        waiting = self.store.call(STAFF, "notifications", "list_deliveries", limit=100)["items"]
        return all(delivery["state"] == "sent" for delivery in waiting)

    def _reconcile(self) -> None:
        staff = _Staff(self.store)
        flagged = [
            Break("order_has_no_problem:refund_failed", order["id"], 0, 1)
            for order in self.expected["orders"].values()
            if order["refund"] and order["refund"]["state"] == "failed"
        ]
        assert find_breaks(collect(staff, self.store)) == sorted(flagged)
        for order in self.expected["orders"].values():
            ended = "refunded" if order["refund"] and order["refund"]["state"] == "done" else "fulfilled"
            assert self._state(order) == (ended if order["paid"] else "cancelled")
        units = sum(
            order["quantity"] for order in self.expected["orders"].values()
            if order["paid"] and order["destination"] == "support_card"
        )  # fmt: skip
        assert len(self._named_cards()) == len(self.expected["cards"])
        assert sum(not card["part"] for card in self.expected["cards"]) == units

    @staticmethod
    def _any(things: dict[str, Any], number: int) -> dict[str, Any]:
        found: dict[str, Any] = list(things.values())[number % len(things)]
        return found

    def _any_card(self, number: int) -> dict[str, Any]:
        cards = self._named_cards()
        return cards[number % len(cards)]


class _Staff:
    """Asks as staff, as `punchcard.reconcile` wants it."""

    def __init__(self, store: InProcessStore) -> None:
        self._store = store

    def call(self, service: str, method: str, data: dict[str, Any] | None = None, *, timeout_s: float = 5.0) -> Any:
        return self._store.call(STAFF, service, method, **(data or {}))


@pytest.fixture(scope="module", autouse=True)
def copied_from(templates: Path) -> None:
    Templates.folder = templates


@pytest.mark.timeout(1800)  # a walk that fails is made shorter and shorter, which takes its time
@pytest.mark.parametrize("number", [SEED])  # so that a failure says which
def test_the_store_does_what_a_dictionary_says(number: int) -> None:
    run_state_machine_as_test(
        seed(number)(Store),
        settings=settings(
            max_examples=WALKS, stateful_step_count=STEPS, deadline=None, database=None,
            phases=(Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


def test_strangers_see_nothing_of_it() -> None:
    """The model asks as the right people; others get nothing."""
    folder = Path(tempfile.mkdtemp(prefix="punchcard-model-"))
    store = InProcessStore(Templates.folder, folder)
    try:
        with pytest.raises(Refusal, match="forbidden"):
            store.call(BUYERS[0], "credits", "reconcile")
        assert store.call(identity("viewer", organization_id="org_x"), "credits", "get_balance")["balance"] == 0
    finally:
        store.close()
        shutil.rmtree(folder)
