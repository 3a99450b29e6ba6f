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
from email.message import EmailMessage
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from model.in_process import DEPLOYMENTS, ORGANIZATIONS, STAFF, InProcessStore, buyers, make_templates
from store import number_and_code

from chassis.identity import Identity
from chassis.testing import identity
from credits.domain.codes import canonical_number
from kernel.errors import Refusal
from punchcard.reconcile import collect, find_breaks

#: How many walks, of how many steps, and which ones. `make faults` asks for more and for others.
WALKS = int(os.environ.get("MODEL_WALKS", "8"))
STEPS = int(os.environ.get("MODEL_STEPS", "20"))
SEED = int(os.environ.get("MODEL_SEED", "1"))

PACKS = {"HOURLY-120": 120, "HOURLY-300": 300, "CONTRACT-STANDARD": 240}
PRICES = {"HOURLY-120": 24000, "HOURLY-300": 57000, "CONTRACT-STANDARD": 180000}
VALID_DAYS = 365
BUYERS = buyers()

_people = st.sampled_from(BUYERS)
_seeds = st.integers(0, 2**16)
#: What goes astray on the way to the provider, or on the way from cart to payments.
_mishaps = st.sampled_from(["none", "none", "none", "provider request", "provider answer", "rpc request", "rpc answer"])


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
            "balances": dict.fromkeys(ORGANIZATIONS, 0),
            "cards": {},  # by number: credits, state, issuer, order, code, since when
            "orders": {},  # by id: whose, what, and what must become of it
        }
        self.read_mails = 0

    # --- what people do -----------------------------------------------------------------------------------------------

    @rule(
        buyer=_people, sku=st.sampled_from(list(PACKS)), quantity=st.integers(1, 2),
        destination=st.sampled_from(["organization", "support_card"]),
        card=st.sampled_from(["success", "success", "success", "declined"]), mishap=_mishaps, seed=_seeds,
    )  # fmt: skip
    def place(
        self, buyer: Identity, sku: str, quantity: int, destination: str, card: str, mishap: str, seed: int
    ) -> None:
        """Fill the cart anew, order it and pay by card."""
        quantity = 1 if sku.startswith("CONTRACT") else quantity
        self._fill_cart(buyer, sku, quantity, destination)
        request = {
            "idempotency_key": str(uuid.UUID(int=Random(seed).getrandbits(128))),
            "payment": {"method": "card", "provider_token": f"tok_test_{card}"}, "accept_terms": "2026-11",
            "client_address": "192.0.2.7",
        }  # fmt: skip
        busy = [order for order in self._orders(buyer) if self._state(order) == "pending_payment"]
        reused = [
            order for order in self._orders(buyer) if order["request"]["idempotency_key"] == request["idempotency_key"]
        ]
        order = {
            "buyer": buyer, "sku": sku, "quantity": quantity, "destination": destination, "request": request,
            "paid": card == "success", "total": PRICES[sku] * quantity, "credited": False,
            "wished": False,
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
        already = {"paid": ["order_already_paid"], "fulfilled": ["order_already_paid"], "cancelled": [200]}
        assert told in already.get(before, [200, 202, "order_already_paid"])
        if told == 200:
            order["paid"] = False
            assert self._state(order) == "cancelled"
        elif told == 202:
            order["wished"] = True

    @precondition(lambda self: self.expected["cards"])
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
        if right and self._state_of_card(card) == "issued":
            reply = self.store.call(claimant, "credits", "claim_card", **request)
            card["state"] = "claimed"
            self.expected["balances"][claimant.organization_id] += card["credits"]
            assert reply["balance"] == self.expected["balances"][claimant.organization_id]
        else:
            with pytest.raises(Refusal, match="card_not_claimable"):
                self.store.call(claimant, "credits", "claim_card", **request)

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

    @rule(days=st.integers(1, 150))
    def time_passes(self, days: int) -> None:
        """Cards expire in the end."""
        self.store.clock.advance(days=days)

    # --- what must be so ----------------------------------------------------------------------------------------------

    @invariant()
    def balances_are_those_of_the_dictionary(self) -> None:
        for buyer in BUYERS:
            found = self.store.call(buyer, "credits", "get_balance")["balance"]
            assert found == self.expected["balances"][buyer.organization_id]

    @invariant()
    def cards_are_those_of_the_dictionary(self) -> None:
        for buyer in BUYERS:
            listed = self.store.call(buyer, "credits", "list_cards", role="issuer", limit=100)["items"]
            found = sorted((card["number_masked"][-4:], card["state"], card["credits"]) for card in listed)
            known = {canonical_number(number)[-4:] for number in self.expected["cards"]}
            wanted = sorted(
                (card["number"][-4:], self._state_of_card(card), card["credits"])
                for card in self.expected["cards"].values()
                if card["issuer"] == buyer.organization_id
            )
            assert [card for card in found if card[0] in known] == wanted

    @invariant()
    def orders_and_charges_are_those_of_the_dictionary(self) -> None:
        for order in self.expected["orders"].values():
            state = self._state(order)
            charged = self.store.charges(order["id"])
            assert charged in ([order["total"]], []) if order["paid"] else charged == []
            assert state in (
                ("pending_payment", "paid", "fulfilled") if order["paid"] else ("pending_payment", "cancelled")
            )
            assert charged or state == "pending_payment" or not order["paid"]

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
            reply = self.store.call(buyer, "cart", "place_order", **request)
        except Refusal as refusal:
            if refusal.code in ("card_declined", "order_cancelled"):
                return {"id": refusal.extra["order_id"], "told": refusal.code}
            return {"code": refusal.code}
        return {"id": reply["order"]["id"], "told": reply["status"]}

    def _orders(self, buyer: Identity) -> list[dict[str, Any]]:
        return [order for order in self.expected["orders"].values() if order["buyer"] == buyer]

    def _state(self, order: dict[str, Any]) -> str:
        state = str(self.store.call(order["buyer"], "cart", "get_order", id=order["id"])["state"])
        if order["wished"] and state == "cancelled":
            order["paid"] = False  # the wish came before the charge
        return state

    def _state_of_card(self, card: dict[str, Any]) -> str:
        old = (self.store.clock.now() - card["issued_at"]).days >= VALID_DAYS
        return "expired" if card["state"] == "issued" and old else str(card["state"])

    def _note(self, handled: list[tuple[str, str, dict[str, Any]]]) -> None:
        """What the arrival of events means for the dictionary."""
        for consumer, event_type, data in handled:
            if (consumer, event_type) == ("credits", "cart.order_paid.v1"):
                order = self.expected["orders"][data["order_id"]]
                if order["destination"] == "organization" and not order["credited"]:
                    credits = PACKS[order["sku"]] * order["quantity"]
                    self.expected["balances"][order["buyer"].organization_id] += credits
                order["credited"], order["credited_at"] = True, self.store.clock.now()

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
        assert number not in self.expected["cards"], "one card, one mail"
        self.expected["cards"][number] = {
            "number": number, "code": code, "credits": PACKS[order["sku"]], "state": "issued",
            "issuer": order["buyer"].organization_id, "issued_at": order["credited_at"], "order": order["id"],
        }  # fmt: skip

    def _number(self, order: dict[str, Any]) -> str:
        return str(self.store.call(order["buyer"], "cart", "get_order", id=order["id"])["number"])

    def _settle(self, random: Random) -> None:
        while not self._is_quiet():
            self.store.clock.advance(seconds=60)
            self.store.run("payments", "settle_payments")
            self.store.run("cart", "resume_orders")
            self._note(self.store.deliver(random))
            self._send_mails()

    def _is_quiet(self) -> bool:
        """Whether nothing is under way: no payment, no event, no mail."""
        if not self.store.quiet or any(
            self._state(order) == "pending_payment" for order in self.expected["orders"].values()
        ):
            return False
        waiting = self.store.call(STAFF, "notifications", "list_deliveries", limit=100)["items"]
        return all(delivery["state"] == "sent" for delivery in waiting)

    def _reconcile(self) -> None:
        staff = _Staff(self.store)
        assert find_breaks(collect(staff, self.store.charges)) == []
        for order in self.expected["orders"].values():
            assert self._state(order) == ("fulfilled" if order["paid"] else "cancelled")
        units = sum(
            order["quantity"] for order in self.expected["orders"].values()
            if order["paid"] and order["destination"] == "support_card"
        )  # fmt: skip
        assert len(self.expected["cards"]) == units

    @staticmethod
    def _any(things: dict[str, Any], number: int) -> dict[str, Any]:
        found: dict[str, Any] = list(things.values())[number % len(things)]
        return found

    def _any_card(self, number: int) -> dict[str, Any]:
        """One of the cards, the same for the same walk: those of one order are alike, whichever mail came first."""
        orders = list(self.expected["orders"])
        cards = sorted(self.expected["cards"].values(), key=lambda card: orders.index(card["order"]))
        found: dict[str, Any] = cards[number % len(cards)]
        return found


class _Staff:
    """Asks as staff, as `punchcard.reconcile` wants it."""

    def __init__(self, store: InProcessStore) -> None:
        self._store = store

    def call(self, service: str, method: str, data: dict[str, Any] | None = None, *, timeout_s: float = 5.0) -> Any:
        return self._store.call(STAFF, service, method, **(data or {}))


@pytest.fixture(scope="module", autouse=True)
def templates(tmp_path_factory: pytest.TempPathFactory) -> None:
    Templates.folder = tmp_path_factory.mktemp("model")
    make_templates(Templates.folder)


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
