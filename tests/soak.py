"""The soak: load from several clients while one random process after the other is killed; then quiet; then the
invariant.

``make soak SECONDS=600 SEED=7``. Services, gateways, broker and database are killed with SIGKILL in turn, one every
five seconds, on private servers. Lost is what a client was told, or could find out, to be paid and that did not bring
all it should; doubled is what was charged, granted, bound or mailed twice. Both must be 0.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from store import UNSUSPECTING, Client, Store

from chassis.local_servers import PrivatePostgres, PrivateRabbit, ensure_installed, temporary_folder
from punchcard.mailbox.folder import MailFolder
from punchcard.reconcile import Break, Report
from punchcard.says import say

KILL_EVERY_S = 5.0
QUIET_S = 60.0
#: A client tries the same request again for so long before it counts it as unanswered.
GIVE_UP_S = 120.0
SCALE = ("payments=2", "cart=2", "gateway=2")
BUYERS = ("ada@acme.example", "alan@acme.example", "grace@globex.example", "gus@globex.example")
DEPLOYMENTS = {"acme.example": "14181336", "globex.example": "30550007"}
#: Answers that say nothing about what became of the request: ask again.
TRY_AGAIN = {"idempotency_key_in_flight", "order_in_progress"}


@dataclass
class Tally:
    """What the clients were told, by idempotency key."""

    attempts: int = 0
    ok: dict[str, str] = field(default_factory=dict)
    #: Orders that a client was told are paid (201), not only that they may be (202).
    told_paid: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    unanswered: dict[str, Callable[[], Any]] = field(default_factory=dict)
    retries: int = 0
    #: A key that was answered with two orders.
    contradictions: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, key: str, answer: Any) -> None:
        """Keep what was answered in the end."""
        with self.lock:
            if answer is None:
                return
            if answer.status_code in (201, 202):
                order_id = answer.json()["id"]
                if answer.status_code == 201:
                    self.told_paid.add(order_id)
                if self.ok.setdefault(key, order_id) != order_id:
                    self.contradictions.append(f"{key}: {self.ok[key]} and {order_id}")
            else:
                self.refused[key] = _code(answer)


class Buyer(threading.Thread):
    """Buys again and again, with a key for each purchase, until told to stop."""

    def __init__(self, store: Store, email: str, seed: str, tally: Tally, stop: threading.Event) -> None:
        super().__init__(name=email, daemon=True)
        self.client = Client(store, email)
        self.deployment = DEPLOYMENTS[email.partition("@")[2]]
        self.random = random.Random(seed)
        self.tally = tally
        self.stopping = stop
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            while not self.stopping.is_set():
                self._buy()
                time.sleep(self.random.uniform(0.0, 0.1))
        except Exception as error:  # told at the end; the others go on
            self.error = error
            say(f"  {self.name} stopped: {error!r}")

    def _buy(self) -> None:
        cart = self._filled_cart()
        if cart is None:
            return
        card = self.random.choices(("success", "declined", "insufficient_funds", "slow"), (88, 5, 5, 2))[0]
        body, key = self.client.order_body(cart, card), str(uuid.UUID(int=self.random.getrandbits(128), version=4))

        def ask() -> Any:
            return self.client.place(body, key)

        with self.tally.lock:
            self.tally.attempts += 1
        second = None
        if self.random.random() < 0.1:  # a double click
            second = threading.Thread(target=lambda: self.tally.note(key, self._insist(ask)), daemon=True)
            second.start()
        answer = self._insist(ask)
        self.tally.note(key, answer)
        if second is not None:
            second.join()
        if answer is None:
            with self.tally.lock:
                self.tally.unanswered[key] = ask

    def _filled_cart(self) -> Any:
        """A cart with one or two lines, however long a service takes to come back; None if the soak ends first."""
        lines = self.random.sample(self._lines(), self.random.choice((1, 1, 2)))
        while not self.stopping.is_set():
            cart = self._insist(lambda: self.client.ask("GET", "/v1/cart"))
            if cart is None or cart.status_code != 200:
                continue
            found = cart.json()
            if found["lines"] and not any(line["missing"] for line in found["lines"]):
                return found
            if found["lines"]:
                for line in found["lines"]:
                    self._insist(lambda line=line: self.client.ask("DELETE", f"/v1/cart/lines/{line['id']}"))
                continue
            for line in lines:
                self._insist(lambda line=line: self.client.ask("POST", "/v1/cart/lines", line))
        return None

    def _lines(self) -> list[dict[str, Any]]:
        to_card, to_us = {"credit_destination": "support_card"}, {"credit_destination": "organization"}
        return [
            {"sku": "HOURLY-120", "quantity": self.random.randint(1, 3), **to_card},
            {"sku": "HOURLY-300", "quantity": 1, **to_card},
            {"sku": "HOURLY-600", "quantity": self.random.randint(1, 2), **to_us},
            {"sku": "CONTRACT-STANDARD", "quantity": 1, "deployment_id": self.deployment, **to_us},
        ]

    def _insist(self, ask: Callable[[], Any]) -> Any:
        """The answer that means something, asking again until there is one; None if there never was."""
        deadline = time.monotonic() + GIVE_UP_S
        while time.monotonic() < deadline:
            with contextlib.suppress(requests.RequestException):  # the gateway was killed under it
                answer = ask()
                if answer.status_code < 500 and answer.status_code != 429 and _code(answer) not in TRY_AGAIN:
                    return answer
            with self.tally.lock:
                self.tally.retries += 1
            time.sleep(self.random.uniform(0.1, 0.5))
        return None


class Killer(threading.Thread):
    """Kills one process every five seconds: all of them in a random order, then in another."""

    def __init__(
        self, store: Store, rabbit: PrivateRabbit, postgres: PrivatePostgres, seed: str, stop: threading.Event
    ) -> None:
        super().__init__(name="killer", daemon=True)
        self.store, self.rabbit, self.postgres = store, rabbit, postgres
        self.random = random.Random(seed)
        self.stopping = stop
        self.killed: Counter[str] = Counter()
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            while True:
                for victim in self._round():
                    if self.stopping.wait(KILL_EVERY_S):
                        return
                    say(f"  killing {victim}")
                    getattr(self, f"_kill_{victim}", lambda victim=victim: self._kill_process(victim))()
                    self.killed[victim] += 1
        except Exception as error:  # told at the end
            self.error = error
            say(f"  the killer stopped: {error!r}")

    def _round(self) -> list[str]:
        services = sorted(name for name in self.store.pids() if name not in ("provider", "mailbox"))
        victims = [*services, "broker", "database"]
        self.random.shuffle(victims)
        return victims

    def _kill_process(self, name: str) -> None:
        with contextlib.suppress(ProcessLookupError):  # it is away already
            os.kill(self.store.pids()[name], signal.SIGKILL)

    def _kill_broker(self) -> None:
        self.rabbit.kill()
        self.rabbit.start()

    def _kill_database(self) -> None:
        self.postgres.kill()
        self.postgres.start()


def soak(seconds: float, seed: int, folder: Path) -> int:
    """Run it; 0 if nothing was lost, doubled or broken."""
    rabbit, postgres = PrivateRabbit(folder / "rabbitmq"), PrivatePostgres(folder / "postgresql")
    with contextlib.ExitStack() as stack:
        for server in (rabbit, postgres):
            stack.callback(server.stop)
            server.start()
        store = Store(
            folder / "store", "services",
            ("--restart-after", "1", *(word for scale in SCALE for word in ("--scale", scale))),
            {
                "AMQP_URI": rabbit.uri, "DATABASE_URL": postgres.url(), "PYTHONPATH": ":".join(sys.path),
                **UNSUSPECTING,
            },
        )  # fmt: skip
        stack.callback(store.close)
        store.start()
        tally, killer = _load(store, rabbit, postgres, seconds, seed)
        say("quiet: waiting until nothing is under way")
        _ask_the_unanswered(tally)
        report = store.reconciled(QUIET_S)
        return _tell(seed, seconds, tally, killer, report, [*lost(tally, report), *_twice_mailed(store)])


def _load(
    store: Store, rabbit: PrivateRabbit, postgres: PrivatePostgres, seconds: float, seed: int
) -> tuple[Tally, Killer]:
    tally, no_more_kills, no_more_load = Tally(), threading.Event(), threading.Event()
    killer = Killer(store, rabbit, postgres, f"{seed}-killer", no_more_kills)
    buyers = [Buyer(store, email, f"{seed}-{email}", tally, no_more_load) for email in BUYERS]
    say(f"load for {seconds:g} s, seed {seed}")
    for thread in (*buyers, killer):
        thread.start()
    time.sleep(seconds)
    no_more_kills.set()
    killer.join()
    no_more_load.set()
    for buyer in buyers:
        buyer.join(2 * GIVE_UP_S)
    errors = [thread.error for thread in (*buyers, killer) if thread.error is not None]
    if errors:
        raise ExceptionGroup("the soak itself is broken", errors)
    return tally, killer


def _ask_the_unanswered(tally: Tally) -> None:
    for key, ask in list(tally.unanswered.items()):
        answer = ask()
        if answer.status_code < 500:
            tally.note(key, answer)
            del tally.unanswered[key]


def lost(tally: Tally, report: Report) -> Iterator[Break]:
    """Orders that a client was told of and that do not exist, or the other way round; keys that made two orders."""
    states = {order["order_id"]: order["state"] for order in report.facts.orders}
    paid = {order["order_id"] for order in report.facts.orders if order["paid_at"] is not None}
    told = set(tally.ok.values())
    for order_id in tally.ok.values():
        if order_id not in states:
            yield Break("told_order_exists", order_id, 1, 0)
        elif order_id in tally.told_paid - paid:
            yield Break("told_order_is_paid", order_id, 1, 0)
        elif states[order_id] == "pending_payment":
            yield Break("told_order_is_decided", order_id, 1, 0)
    for order_id in states:
        if order_id in paid and order_id not in told and not tally.unanswered:
            yield Break("order_was_told", order_id, 0, 1)
    for contradiction in tally.contradictions:
        yield Break("key_has_one_order", contradiction, 1, 2)


def _twice_mailed(store: Store) -> Iterator[Break]:
    """Cards whose mail arrived under two Message-IDs (SMTP may bring one mail twice, under one)."""
    found: dict[str, set[str]] = {}
    for mail in MailFolder(store.folder / "mail").mails():
        number = next((line for line in mail.text.splitlines() if line.startswith("Card number: ")), None)
        if number and "Claim code:" in mail.text:
            found.setdefault(number, set()).add(mail.message_id)
    for number, ids in found.items():
        if len(ids) > 1:
            yield Break("card_has_one_mail", number, 1, len(ids))


def _tell(seed: int, seconds: float, tally: Tally, killer: Killer, report: Report, more: list[Break]) -> int:
    breaks = [*report.breaks, *more]
    lost = sum(max(0, found.expected - found.found) for found in breaks if _counts_things(found))
    doubled = sum(max(0, found.found - found.expected) for found in breaks if _counts_things(found))
    for found in breaks:
        say(f"  broken: {found}")
    if breaks:
        say(f"  queues: { {name: depth for name, depth in report.facts.depths.items() if depth != 0} }")
        for service, state in report.facts.messaging.items():
            say(f"  {service}: {state}")
    say(f"  looked at: {report.looked_at}")
    say(f"  killed: {', '.join(f'{name} {number}' for name, number in sorted(killer.killed.items()))}")
    say(
        f"seed {seed}, {seconds:g} s: attempts {tally.attempts}, ok {len(tally.ok)}, "
        f"failed cleanly {len(tally.refused)}, unanswered {len(tally.unanswered)}, retries {tally.retries}, "
        f"lost {lost}, doubled {doubled}, breaks {len(breaks)}"
    )
    return 1 if breaks or tally.unanswered else 0


def _counts_things(found: Break) -> bool:
    """Whether it is about orders, charges, grants, cards or mails, and not about how many credits or cents."""
    things = ("paid_order_has_", "paid_line_", "told_", "cause_", "card_", "key_", "order_was_")
    return found.rule.startswith(things) and found.rule != "paid_line_has_its_credits"


def _code(answer: Any) -> str:
    try:
        return str(answer.json().get("code", answer.status_code))
    except ValueError:
        return str(answer.status_code)


def main() -> int:
    parser = argparse.ArgumentParser(description="Load, kills, quiet, and then the invariant.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--keep", action="store_true", help="keep the folder with all logs")
    options = parser.parse_args()
    ensure_installed()
    with contextlib.ExitStack() as stack:
        if options.keep:
            folder = Path(tempfile.mkdtemp(prefix="punchcard-soak-"))
            folder.chmod(0o755)
            say(f"everything is in {folder}")
        else:
            folder = stack.enter_context(temporary_folder("soak"))
        return soak(options.seconds, options.seed, folder)


if __name__ == "__main__":
    raise SystemExit(main())
