"""The invariant: every paid order has brought exactly what it should, no unpaid one anything, and nothing is stuck.

One function for tests, the soak and operators. It reads each service through the service's own interface, as staff, and
names every break. While the store works, things are under way that look broken; so it looks again, for as long as
it was told to, and reports only what is still broken then.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import requests

from chassis import context
from chassis.identity import Identity, IdentitySigner
from chassis.messaging.depths import queue_depths, queue_names
from chassis.messaging.topology import Subscription
from chassis.service import load, subscriptions
from kernel.errors import Kind, Refusal
from kernel.ids import new_id
from punchcard.parts import SERVICES

_PAGE = 500
_MAILS_PAGE = 100
_TIMEOUT_S = 30.0
_PAUSE_S = 2.0
_ORGANIZATION, _SUPPORT_CARD = "organization", "support_card"
#: How the causes of holds for disputes begin; the others are for tickets.
_DISPUTE = "dispute:"

#: How many messages wait in each queue; None where the queue is missing.
Depths = Callable[[], Mapping[str, int | None]]


class Client(Protocol):
    """What is needed of `chassis.rpc.RpcClient`."""

    def call(self, service: str, method: str, data: dict[str, Any] | None = None, *, timeout_s: float = ...) -> Any:
        """Ask a service."""


class Book(Protocol):
    """The payment provider's own."""

    def amounts(self, order_id: str) -> Sequence[int]:
        """What it took for an order, in minor units; what it gave back is negative."""

    def disputes(self) -> Mapping[str, str]:
        """By order whose charge is disputed, the state of the dispute."""


@dataclass(frozen=True, order=True)
class Break:
    """A place where the store is not as it must be.

    Args:
        rule: which rule is broken.
        subject: where: an order, a line, a card, a queue, a service.
        expected, found: how many, how much.
    """

    rule: str
    subject: str
    expected: int
    found: int

    def __str__(self) -> str:
        return f"{self.rule}: {self.subject}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True)
class Report:
    """What came out.

    Args:
        breaks: all of them; none when nothing is broken.
        facts: what was looked at last.
    """

    breaks: list[Break]
    facts: Facts

    @property
    def counts(self) -> dict[str, int]:
        """How much there was."""
        return {
            "orders": len(self.facts.orders),
            "paid": sum(1 for _ in _paid(self.facts)),
            "cards": sum(item["card_id"] is not None for item in self.facts.brought),
            "mails": len(self.facts.deliveries),
        }

    @property
    def looked_at(self) -> str:
        """How much there was, in words."""
        return ", ".join(f"{number} {name}" for name, number in self.counts.items())

    def __str__(self) -> str:
        return "\n".join(map(str, self.breaks)) if self.breaks else f"nothing is broken: {self.looked_at}"


@dataclass
class Facts:
    """What the services say. Lists as their interfaces give them; see ``contracts/``."""

    orders: list[dict[str, Any]]
    intents: list[dict[str, Any]]
    brought: list[dict[str, Any]]
    bound: list[dict[str, Any]]
    deliveries: list[dict[str, Any]]
    tickets: list[dict[str, Any]] = field(default_factory=list)
    holds: list[dict[str, Any]] = field(default_factory=list)
    disputes: list[dict[str, Any]] = field(default_factory=list)
    ledger: list[dict[str, Any]] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=dict)
    messaging: dict[str, dict[str, Any]] = field(default_factory=dict)
    charges: dict[str, Sequence[int]] | None = None
    disputed_charges: Mapping[str, str] | None = None
    depths: Mapping[str, int | None] = field(default_factory=dict)


def reconcile(
    client: Client, *, book: Book | None = None, depths: Depths | None = None, patience_s: float = 0.0,
    pause_s: float = _PAUSE_S,
) -> Report:  # fmt: skip
    """Look at everything, and name what is broken.

    Args:
        client: asks the services as staff: a `StaffClient`, or any in a context with an identity of staff.
        book: the provider's own; without it payments is believed.
        depths: of the queues; without it they are not looked at.
        patience_s: for how long to look again at what seems broken, and to ask again who does not answer; what goes
            away by itself was under way.
        pause_s: between two looks.

    Raises:
        Refusal: a service did not answer, or the identity may not ask.
    """
    began = time.monotonic()
    until = began + patience_s
    facts = _collect(client, book, depths, until, pause_s)
    breaks = find_breaks(facts)
    lasting = _places(breaks)
    while lasting and time.monotonic() < until:
        _pause(pause_s, until)
        watched_s = time.monotonic() - began
        facts = _collect(client, book, depths, until, pause_s)
        breaks = find_breaks(facts, watched_s)
        lasting &= _places(breaks)
    return Report([it for it in breaks if (it.rule, it.subject) in lasting], facts)


class StaffClient:
    """A client that asks as staff, under a fresh identity each time: one lasts five minutes, a look may take longer.

    Args:
        client: usually an `RpcClient`.
        signing_key: IDENTITY_SIGNING_KEY.
    """

    _STAFF = Identity("usr_reconcile", "", "punchcard reconcile", "superuser", "org_punchcard", "Punchcard")

    def __init__(self, client: Client, signing_key: str) -> None:
        self._client = client
        self._signer = IdentitySigner(signing_key)
        self._correlation_id = new_id("cor")

    def call(
        self, service: str, method: str, data: dict[str, Any] | None = None, *, timeout_s: float = _TIMEOUT_S
    ) -> Any:
        """As the client's own."""
        token = self._signer.sign(self._STAFF)
        with context.entered(context.RequestContext(self._correlation_id, token)):
            return self._client.call(service, method, data, timeout_s=timeout_s)


class ProviderBook:
    """The offline provider's book.

    Args:
        url: of the provider.
        key: PAYMENTS_PROVIDER_KEY.
    """

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {key}"

    def amounts(self, order_id: str) -> list[int]:
        """See `Book`."""
        return [
            *self._succeeded("charges", order_id),
            *(-amount for amount in self._succeeded("refunds", order_id)),
        ]

    def disputes(self) -> dict[str, str]:
        """See `Book`."""
        found: dict[str, str] = {}
        last = 0
        while True:
            page = self._get("disputes", after=last)
            found |= {each["reference"]: each["status"] for each in page["items"]}
            if page["last"] == last:
                return found
            last = page["last"]

    def _succeeded(self, what: str, order_id: str) -> list[int]:
        items = self._get(what, reference=order_id)["items"]
        return [item["amount_minor"] for item in items if item["status"] == "succeeded"]

    def _get(self, what: str, **wanted: Any) -> dict[str, Any]:
        response = self._session.get(f"{self._url}/{what}", params=wanted, timeout=_TIMEOUT_S)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer


def all_subscriptions() -> list[Subscription]:
    """Every event that a service of the store handles."""
    return [subscription for name in SERVICES for subscription in subscriptions(load(name))]


def broker_depths(uri: str) -> Depths:
    """The depths of all queues of the store.

    Args:
        uri: AMQP_URI.
    """
    wanted = all_subscriptions()
    return lambda: queue_depths(uri, queue_names(SERVICES, wanted))


def _collect(client: Client, book: Book | None, depths: Depths | None, until: float, pause_s: float) -> Facts:
    """Ask every service; again while one cannot answer, as after its database was away, and there is time."""
    while True:
        try:
            return collect(client, book, depths)
        except Refusal as refusal:
            if refusal.kind is not Kind.UNAVAILABLE or time.monotonic() >= until:
                raise
        _pause(pause_s, until)


def _pause(pause_s: float, until: float) -> None:
    """Wait between two looks, but not beyond the end of patience."""
    time.sleep(min(pause_s, max(0.0, until - time.monotonic())))


def collect(client: Client, book: Book | None = None, depths: Depths | None = None) -> Facts:
    """Ask every service. The queues come first: what waits there then is handled by the time the rest is read."""
    waiting = depths() if depths else {}
    ledger = client.call("credits", "reconcile", {}, timeout_s=_TIMEOUT_S)
    facts = Facts(
        orders=_pages(client, "cart", "order_facts"),
        intents=_pages(client, "payments", "order_facts"),
        brought=_pages(client, "credits", "order_facts"),
        bound=_pages(client, "accounts", "order_facts"),
        deliveries=_pages(client, "notifications", "list_deliveries", _MAILS_PAGE),
        tickets=_pages(client, "support", "ticket_facts"),
        holds=_pages(client, "credits", "hold_facts"),
        disputes=_pages(client, "credits", "dispute_facts"),
        ledger=ledger["breaks"],
        totals=ledger["totals"],
        messaging={name: client.call(name, "messaging_state", {}, timeout_s=_TIMEOUT_S) for name in SERVICES},
        depths=waiting,
    )
    if book is not None:
        facts.charges = {order["order_id"]: book.amounts(order["order_id"]) for order in facts.orders}
        facts.disputed_charges = book.disputes()
    return facts


def find_breaks(facts: Facts, watched_s: float = 0.0) -> list[Break]:
    """Every break in what the services say.

    Args:
        facts: what they say.
        watched_s: since when it has been looked at, in seconds: a store at work always has an event on its way, so
            only one that was there the whole time is stuck.
    """
    return sorted(
        [
            *_order_breaks(facts), *_money_breaks(facts), *_credit_breaks(facts), *_refund_breaks(facts),
            *_ticket_breaks(facts), *_disputed_charge_breaks(facts), *_dispute_breaks(facts),
            *_mail_breaks(facts), *_still(facts, watched_s),
        ]
    )  # fmt: skip


def _order_breaks(facts: Facts) -> Iterator[Break]:
    for order in facts.orders:
        if order["problem"] is not None:
            yield Break(f"order_has_no_problem:{order['problem']}", order["order_id"], 0, 1)
        if order["paid_at"] is None:
            continue
        pending = sum(not line["handed_over"] for line in order["lines"])
        if pending:
            yield Break("paid_order_is_handed_over", order["order_id"], 0, pending)
        elif order["state"] == "paid":
            yield Break("paid_order_is_fulfilled", order["order_id"], 1, 0)


def _money_breaks(facts: Facts) -> Iterator[Break]:
    paid = {order["order_id"]: order for order in _paid(facts)}
    by_card = {order_id for order_id, order in paid.items() if order["payment_method"] == "card"}
    captures: Counter[str] = Counter()
    for intent in facts.intents:
        order_id = intent["order_id"]
        captures[order_id] += max(intent["captures"], int(intent["state"] == "captured"))
        if order_id in paid and captures[order_id] and intent["amount"] != paid[order_id]["total"]:
            due, taken = paid[order_id]["total"]["amount_minor"], intent["amount"]["amount_minor"]
            yield Break("captured_amount_is_the_total", order_id, due, taken)
        kept = intent.get("strays", 0) - intent.get("strays_returned", 0)
        if kept:
            yield Break("stray_capture_is_given_back", order_id, 0, kept)
    yield from _differences("paid_order_has_one_capture", dict.fromkeys(paid, 1), captures)
    yield from _remittance_breaks(facts)
    if facts.charges is None:
        return
    charged = {key: [amount for amount in amounts if amount > 0] for key, amounts in facts.charges.items()}
    # what was taken by error counts for as much as was given back of it
    wanted = Counter(by_card) + Counter(
        {intent["order_id"]: intent.get("strays_returned", 0) for intent in facts.intents}
    )
    yield from _differences("paid_order_has_one_charge", wanted, {key: len(took) for key, took in charged.items()})
    for order_id in sorted(by_card):
        due, took = paid[order_id]["total"]["amount_minor"], charged.get(order_id, ())
        if took and due not in took:
            yield Break("charged_amount_is_the_total", order_id, due, took[0])


def _remittance_breaks(facts: Facts) -> Iterator[Break]:
    """Wire and check: all the money of a paid order has come, and every cent that came is accounted for."""
    intents = {intent["order_id"]: intent for intent in facts.intents}
    awaited = {order_id for order_id, intent in intents.items() if intent["state"] == "requires_action"}
    awaiting = {order["order_id"] for order in facts.orders if order["state"] == "awaiting_payment"}
    yield from _differences("awaiting_order_is_awaited", dict.fromkeys(awaiting, 1), dict.fromkeys(awaited, 1))
    for order in _paid(facts):
        intent = intents.get(order["order_id"])
        if order["payment_method"] in ("wire", "check") and intent is not None:
            due, received = order["total"]["amount_minor"], intent["received"]["amount_minor"]
            if received < due:
                yield Break("paid_order_has_its_money", order["order_id"], due, received)
    for order_id, intent in intents.items():
        received, used = intent["received"]["amount_minor"], 0
        if intent["state"] == "captured" and intent["method"] in ("wire", "check"):
            used = intent["amount"]["amount_minor"]
        elif intent["state"] == "requires_action":
            used = received  # it waits for the rest
        if received - used != intent["surplus"]["amount_minor"]:
            yield Break("surplus_is_what_is_not_used", order_id, received - used, intent["surplus"]["amount_minor"])


def _credit_breaks(facts: Facts) -> Iterator[Break]:
    own = {_line(order, line): line for order in _paid(facts) for line in order["lines"]}
    grants = Counter(_line(item, item) for item in facts.brought if item["card_id"] is None)
    cards = Counter(_line(item, item) for item in facts.brought if item["card_id"] is not None)
    brought: Counter[str] = Counter()
    for item in facts.brought:
        brought[_line(item, item)] += item["credits"]
    going = {where: line["credit_destination"] for where, line in own.items()}
    granted = {where: 1 for where in own if going[where] == _ORGANIZATION}
    units = {where: line["quantity"] for where, line in own.items() if going[where] == _SUPPORT_CARD}
    yield from _differences("paid_line_has_one_grant", granted, grants)
    yield from _differences("paid_line_has_its_cards", units, cards)
    credits = {where: line["quantity"] * line["credits"] for where, line in own.items()}
    yield from _differences("paid_line_has_its_credits", credits, brought)
    kept = ("on_organizations", "on_cards", "on_hold", "spent", "expired", "taken_back", "taken_off")
    given = facts.totals.get("given", 0)  # by staff, for free
    yield from _differences(
        "paid_credits_are_somewhere",
        {"credits": sum(credits.values())},
        {"credits": sum(facts.totals.get(name, 0) for name in kept) - given},
    )
    bound = Counter(_line(item, item) for item in facts.bound)
    yield from _differences("paid_line_is_bound", {where: 1 for where in own if own[where]["is_bound"]}, bound)


def _refund_breaks(facts: Facts) -> Iterator[Break]:
    """Credits first, then money: what refunds say is what credits and payments did, and the provider's book has. A lost
    dispute takes credits back, too.
    """
    refunds = {order["order_id"]: _refunds(order) for order in facts.orders if _refunds(order)}
    done = {key: [each for each in of_order if each["state"] == "done"] for key, of_order in refunds.items()}
    for order_id, of_order in refunds.items():
        for refund in of_order:
            if refund["state"] in ("taking_back", "returning_money"):
                yield Break("refund_is_ended", order_id, 1, 0)
    due = {order_id: sum(each["amount"]["amount_minor"] for each in ended) for order_id, ended in done.items()}
    for order in facts.orders:
        back, total = due.get(order["order_id"], 0), order["total"]["amount_minor"]
        wanted = ("refunded" if back == total else "partially_refunded") if back else None
        state = order["state"] if order["state"] in ("refunded", "partially_refunded") else None
        if state != wanted:
            yield Break(
                f"order_is_{wanted or state}", order["order_id"], int(wanted is not None), int(state is not None)
            )
    given = {intent["order_id"]: intent["refunded_minor"] for intent in facts.intents}
    yield from _differences("order_has_its_money_back", due, given)
    if facts.charges is not None:
        by_card = {order["order_id"] for order in facts.orders if order["payment_method"] == "card"}
        in_book = {key: -sum(amount for amount in amounts if amount < 0) for key, amounts in facts.charges.items()}
        expected = Counter({order_id: minor for order_id, minor in due.items() if order_id in by_card})
        expected += Counter({each["order_id"]: each.get("strays_returned_minor", 0) for each in facts.intents})
        yield from _differences("order_has_its_money_back_in_the_book", expected, in_book)
    taken: Counter[str] = Counter()
    left: Counter[str] = Counter()
    whole = {order["order_id"] for order in facts.orders if order["state"] == "refunded"}
    for item in facts.brought:
        taken[item["order_id"]] += item["taken_back"]
        left[item["order_id"]] += item["with_buyer"] if item["order_id"] in whole else 0
    said = Counter({dispute["order_id"]: dispute["taken_back"] for dispute in facts.disputes})
    for order_id, of_order in refunds.items():
        said[order_id] += sum(each["taken_back"] or 0 for each in of_order)
    yield from _differences("refund_took_its_credits_back", said, taken)
    yield from _differences("refunded_order_leaves_no_credits", {}, left)


def _disputed_charge_breaks(facts: Facts) -> Iterator[Break]:
    """What the provider says of the disputes of our orders is what payments says."""
    if facts.disputed_charges is None:
        return
    ours = {intent["order_id"] for intent in facts.intents}
    disputed = {order_id: state for order_id, state in facts.disputed_charges.items() if order_id in ours}
    said = {intent["order_id"]: intent["dispute"] for intent in facts.intents if intent.get("dispute")}
    for state in sorted({*disputed.values(), *said.values()}):
        yield from _differences(
            f"charge_dispute_is_{state}",
            {order_id: 1 for order_id, known in disputed.items() if known == state},
            {order_id: 1 for order_id, known in said.items() if known == state},
        )


def _dispute_breaks(facts: Facts) -> Iterator[Break]:
    """Cart says what payments says, and credits has done what cart says: frozen, let go, or taken back. That nothing of
    it gets away meanwhile is a rule of credits itself.
    """
    said = _stand((intent["order_id"], intent.get("dispute")) for intent in facts.intents)
    told = _stand((order["order_id"], (order.get("dispute") or {}).get("state")) for order in facts.orders)
    done = _stand((dispute["order_id"], dispute["state"]) for dispute in facts.disputes)
    yield from _differences("dispute_stands_in_cart_as_in_payments", said, told)
    yield from _differences("dispute_stands_in_credits_as_in_cart", told, done)
    still_open = {f"{_DISPUTE}{dispute['dispute_id']}" for dispute in facts.disputes if dispute["state"] == "open"}
    for hold in facts.holds:
        if hold["cause"].startswith(_DISPUTE) and hold["held"] and hold["cause"] not in still_open:
            yield Break("closed_dispute_holds_nothing", hold["cause"], 0, hold["held"])


def _stand(disputes: Iterable[tuple[str, str | None]]) -> dict[str, int]:
    """An order with the state of its dispute, for those that have one."""
    return {f"{order_id} {state}": 1 for order_id, state in disputes if state is not None}


def _ticket_breaks(facts: Facts) -> Iterator[Break]:
    """Every ticket has the hold that it says, and was debited what its holds have spent."""
    for ticket in facts.tickets:
        if ticket["step"] is not None:
            yield Break(f"ticket_goes_on:{ticket['step']}", ticket["ticket_id"], 0, 1)
    said = {"held": "held", "spent": "debited", "given_back": "given_back"}
    for name, field_name in said.items():
        found: Counter[str] = Counter()
        for hold in facts.holds:
            if not hold["cause"].startswith(_DISPUTE):
                found[hold["cause"].partition("/")[0]] += hold[name]
        expected = {ticket["ticket_id"]: ticket[field_name] for ticket in facts.tickets}
        yield from _differences(f"ticket_and_its_holds_agree:{name}", expected, found)


def _refunds(order: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those of an order that were not in vain; a cart of before knows one at most."""
    newest = order["refund"]
    found: list[dict[str, Any]] = order.get("refunds", [] if newest is None else [newest])
    return found


def _line(order: Mapping[str, Any], line: Mapping[str, Any]) -> str:
    return f"{order['order_id']} {line['line_id']}"


def _mail_breaks(facts: Facts) -> Iterator[Break]:
    due = {f"receipt:{order['order_id']}": 1 for order in _paid(facts)}
    for item in facts.brought:
        cards = [item["card_id"]] if item["card_id"] is not None else []
        due |= {f"card:{card_id}": 1 for card_id in [*cards, *item.get("split_into", ())]}
        due |= {f"card_reissued:{code}": 1 for code in item.get("reissues", ())}
    due |= {
        f"refund:{refund['refund_id']}": 1
        for order in facts.orders
        for refund in _refunds(order)
        if refund["state"] == "done"
    }
    sent: Counter[str] = Counter()
    for delivery in facts.deliveries:
        if delivery["kind"] in ("receipt", "card", "card_reissued", "refund"):
            sent[delivery["cause"]] += delivery["state"] == "sent"
        elif delivery["state"] != "sent":
            yield Break("mail_is_sent", delivery["cause"], 1, 0)
    yield from _differences("cause_has_one_mail", due, sent)


def _still(facts: Facts, watched_s: float) -> Iterator[Break]:
    for found in facts.ledger:
        yield Break(f"ledger:{found['rule']}", found["subject"], found["expected"], found["found"])
    for service, state in facts.messaging.items():
        if state["unsent"] and not 0.0 <= state["oldest_unsent_s"] < watched_s:
            yield Break("outbox_is_sent", service, 0, state["unsent"])
        if state["dead_letters_by_cause"].get("", 0):
            yield Break("dead_letter_has_a_cause", service, 0, state["dead_letters_by_cause"][""])
    for queue, depth in facts.depths.items():
        if depth is None:
            yield Break("queue_exists", queue, 1, 0)
        elif depth:
            yield Break("queue_is_empty", queue, 0, depth)


def _paid(facts: Facts) -> Iterable[dict[str, Any]]:
    return (order for order in facts.orders if order["paid_at"] is not None)


def _differences(rule: str, expected: Mapping[str, int], found: Mapping[str, int]) -> Iterator[Break]:
    for subject in expected.keys() | found.keys():
        if expected.get(subject, 0) != found.get(subject, 0):
            yield Break(rule, subject, expected.get(subject, 0), found.get(subject, 0))


def _pages(client: Client, service: str, method: str, size: int = _PAGE) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = client.call(service, method, {"limit": size, "cursor": cursor}, timeout_s=_TIMEOUT_S)
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            return found


def _places(breaks: Iterable[Break]) -> set[tuple[str, str]]:
    return {(found.rule, found.subject) for found in breaks}
