"""A desk: support's App on a database, beside the services it asks, which are a few lines here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from chassis import context
from chassis.identity import Identity
from chassis.messages import dump_checked, load_request
from chassis.persistence import Database
from chassis.service import Call, Rpc
from chassis.testing import FixedClock, emitted, identity, rpc_contract, sqlite_database
from kernel.errors import Kind, Refusal, not_found, unavailable
from support.bootstrap import App
from support.clients import Accounts, Credits
from support.service import SupportService
from support.settings import Settings

DEPLOYMENT = "14181336"


class Crash(BaseException):
    """The process dies here."""


class Bus:
    """Accounts and credits as support sees them; `fault` is what goes wrong with the next question that changes
    something: ``down``, ``dies_before``, ``dies_after`` or ``lost`` (its answer).
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.balance = 500
        self.holds: dict[str, dict[str, int]] = {}
        self.raised: set[str] = set()
        self.retired = False
        self.contracts = 1
        self.term: dict[str, Any] = {}
        self.fault: str | None = None

    def call(self, service: str, method: str, data: dict[str, Any], *, reply: Any, timeout_s: float = 5.0) -> Any:
        assert not context.transaction_open.get(), "an RPC inside a transaction"
        self.calls.append(f"{service}.{method}")
        if service == "credits" and method != "get_balance":
            if self.fault == "down":
                raise unavailable()
            if self.fault == "dies_before":
                raise Crash
        answer = getattr(self, f"_{method}")(**data)
        if service == "credits" and method != "get_balance":
            if self.fault == "dies_after":
                raise Crash
            if self.fault == "lost":
                raise unavailable()
        return reply.load(answer)

    def _get_coverage(self, id: str) -> dict[str, Any]:
        if id != DEPLOYMENT:
            raise not_found("deployment")
        example = rpc_contract("accounts", "get_coverage")["example"]["reply"]
        state = "retired" if self.retired else "active"
        return {
            "deployment": {**example["deployment"], "state": state},
            "contracts": [{**each, **self.term} for each in example["contracts"] * self.contracts],
        }

    def _get_balance(self) -> dict[str, Any]:
        return {"balance": self.balance}

    def _hold(self, organization_id: str, cause: str, credits: int, memo: str) -> dict[str, Any]:
        assert organization_id == "org_acme"
        assert memo.startswith("Ticket T-")
        if cause not in self.holds:
            self._take(credits)
            self.holds[cause] = {"credits": credits, "spent": 0, "given_back": 0}
        return self.holds[cause]

    def _raise_hold(self, cause: str, raise_cause: str, credits: int) -> dict[str, Any]:
        if raise_cause not in self.raised:
            self._take(credits)
            self.raised.add(raise_cause)
            self.holds[cause]["credits"] += credits
        return self.holds[cause]

    def _settle_hold(self, cause: str, spent: int) -> dict[str, Any]:
        hold = self.holds[cause]
        if "settled" not in hold:
            assert spent <= hold["credits"]
            hold.update(spent=spent, settled=1)
            self.balance += hold["credits"] - spent
        assert hold["spent"] == spent
        return hold

    def _give_back_hold(self, cause: str, memo: str) -> dict[str, Any]:
        hold = self.holds[cause]
        assert "settled" in hold
        if not hold["given_back"]:
            hold["given_back"] = hold["spent"]
            self.balance += hold["spent"]
        return hold

    def _take(self, credits: int) -> None:
        if self.balance < credits:
            raise Refusal(
                Kind.CONFLICT, "insufficient_credits", "Too few.", extra={"balance": self.balance}
            )  # fmt: skip
        self.balance -= credits


class Desk:
    """An App on a database, with short ways to what tests do."""

    Crash = Crash

    def __init__(self, database: Database, clock: FixedClock) -> None:
        self.database = database
        self.clock = clock
        self.bus = Bus()
        self.customer = identity("ticket", user_id="usr_tom", email="tom@acme.example", name="Tom Ticket")
        self.stranger = identity("admin", user_id="usr_gus", organization_id="org_globex", organization="Globex")
        self.staff = identity(
            "support", user_id="usr_sam", email="sam@punchcard.example", name="Sam Stone",
            organization_id="org_punchcard", organization="Punchcard",
        )  # fmt: skip
        self.app = App(database, Settings(), Accounts(self.bus), Credits(self.bus))  # type: ignore[arg-type]
        self.service = SupportService()
        self.service.app = self.app
        self._keys = 0

    def ask(self, caller: Identity, method: str, **data: Any) -> Any:
        """One call, through the schemas of its entrypoint; an Idempotency-Key is made up where one is needed."""
        function = getattr(self.service, method)
        entrypoint = next(each for each in function.nameko_entrypoints if isinstance(each, Rpc))
        if "idempotency_key" in entrypoint.request.fields:
            self._keys += 1
            data.setdefault("idempotency_key", f"made-up-{self._keys}")
        reply = function(Call(load_request(entrypoint.request, data), caller, None))
        return dump_checked(entrypoint.reply, reply)

    def refused(self, caller: Identity, method: str, **data: Any) -> Refusal:
        with pytest.raises(Refusal) as caught:
            self.ask(caller, method, **data)
        return caught.value

    def opening(self, **changes: Any) -> dict[str, Any]:
        return {
            "deployment_id": DEPLOYMENT, "subject": "Calls drop", "description": "Since yesterday.\nAll of them.",
            "cap_credits": 60, **changes,
        }  # fmt: skip

    def open(self, **changes: Any) -> Any:
        return self.ask(self.customer, "open_ticket", **self.opening(**changes))

    def ticket(self, **changes: Any) -> str:
        """The id of a ticket that is open."""
        return str(self.open(**changes)["ticket"]["id"])

    def work(self, ticket_id: str, minutes: int, **more: Any) -> Any:
        """The ticket after some work."""
        return self.ask(self.staff, "add_time", id=ticket_id, minutes=minutes, note="Looked", **more)["ticket"]

    def look(self, ticket_id: str) -> Any:
        return self.ask(self.customer, "get_ticket", id=ticket_id)

    def resume(self) -> None:
        """What the timer does once the lease of whoever died has run out."""
        self.clock.advance(seconds=31)
        self.service.resume_tickets()

    def events(self, name: str) -> list[dict[str, Any]]:
        return [data for found, data in emitted(self.database) if found == f"support.{name}.v1"]

    def rows(self, table: sa.Table) -> list[dict[str, Any]]:
        with self.database.reading() as reader:
            return [dict(row) for row in reader.all(sa.select(table))]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk on SQLite."""
    clock = FixedClock()
    database = sqlite_database(tmp_path, "support", clock)
    yield Desk(database, clock)
    database.close()


@pytest.fixture
def desk_on_both(migrated: Callable[..., Database]) -> Desk:
    """A desk on SQLite, then on a real PostgreSQL."""
    clock = FixedClock()
    return Desk(migrated("support", clock), clock)


@pytest.fixture
def desk_on_postgres(migrated_postgres: Callable[..., Database]) -> Desk:
    """A desk on a real PostgreSQL, for what concerns locks."""
    clock = FixedClock()
    return Desk(migrated_postgres("support", clock), clock)
