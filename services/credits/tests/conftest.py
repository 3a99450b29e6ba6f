"""A credits service without a bus: its database, its keys, and the two it shares secrets with."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from chassis import context
from chassis.identity import Identity
from chassis.messages import Event
from chassis.persistence import Database, Throttle
from chassis.sealing import Opener, Sealer, new_key
from chassis.testing import FixedClock, emitted, identity, make_event, rpc_contract, sqlite_database
from credits.bootstrap import App
from credits.clients import Accounts
from credits.messages import OrderPaid
from credits.storage.tables import FAILURE, SUPPORT_CARD
from credits.use_cases.adjust_credits import adjust_credits
from credits.use_cases.bind_card import bind_card
from credits.use_cases.claim_card import claim_card
from credits.use_cases.credit_order import credit_orders
from credits.use_cases.freeze_card import freeze_card, unfreeze_card
from credits.use_cases.get_balance import get_balance
from credits.use_cases.grant_credits import grant_credits
from credits.use_cases.preview_card import preview_card
from credits.use_cases.recall_card import recall_card
from credits.use_cases.reissue_card import reissue_card
from credits.use_cases.spend_credits import spend_credits
from credits.use_cases.split_card import split_card
from credits.use_cases.take_back_order import take_back_order
from kernel.errors import not_found

ACME = identity()
BOLT = identity(
    "admin",
    user_id="usr_bob",
    email="bob@bolt.example",
    name="Bob",
    organization_id="org_bolt",
    organization="Bolt",
    organization_number="1007",
)
SUPPORT = identity(
    "support", user_id="usr_sam", email="sam@punchcard.example", name="Sam", organization_id="org_punchcard",
    organization="Punchcard",
)  # fmt: skip
FINANCE = identity(
    "finance", user_id="usr_fay", email="fay@punchcard.example", name="Fay", organization_id="org_punchcard",
    organization="Punchcard",
)  # fmt: skip


class KnownOrganizations:
    """Accounts, behind the interface of the RPC client."""

    def call(self, service: str, method: str, data: dict[str, Any], *, reply: Any) -> Any:
        assert (service, method) == ("accounts", "find_organization")
        assert not context.transaction_open.get(), "an RPC inside a transaction"
        if data["id"] not in ("org_acme", "org_bolt"):
            raise not_found("organisation")
        return reply.load({**rpc_contract(service, method)["example"]["reply"], "id": data["id"]})


class Desk:
    """A service with what stands around it: the gateway's sealer, the reader of the card mails, a clock."""

    acme = ACME
    bolt = BOLT
    support = SUPPORT
    finance = FINANCE

    def __init__(self, database: Database, clock: FixedClock, failures: int = 1000) -> None:
        own, mails = Opener(new_key()), Opener(new_key())
        self.clock = clock
        self.mails = mails
        self.gateway = Sealer(own.public_key)
        self.app = App(
            database=database, opener=own, sealer=Sealer(mails.public_key), code_pepper=bytes.fromhex(new_key()),
            card_validity=timedelta(days=365), card_reminder=timedelta(days=30),
            credits_valid_days=0, throttle=Throttle(FAILURE, failures), accounts=Accounts(KnownOrganizations()),
        )  # fmt: skip
        self._keys = itertools.count(1)

    @property
    def database(self) -> Database:
        return self.app.database

    def order_paid(self, *lines: dict[str, Any], order_id: str = "ord_1", event_id: str | None = None) -> Event:
        """The event as cart sends it, checked as the consumer checks it."""
        data = {
            "order_id": order_id, "number": "O-1001", "paid_at": "2026-11-22T12:00:00.000Z",
            "organization": {"id": ACME.organization_id, "name": ACME.organization},
            "buyer": {"user_id": ACME.user_id, "email": ACME.email, "name": ACME.name, "language": "en"},
            "lines": list(lines), "terms_version": "2026-11",
        }  # fmt: skip
        return make_event("cart.order_paid.v1", OrderPaid().load(data), event_id=event_id)

    def pay(self, *lines: dict[str, Any], order_id: str = "ord_1") -> None:
        """Let an order be paid."""
        credit_orders(self.app, [self.order_paid(*lines, order_id=order_id)])

    def buy_card(self, credits: int = 300, order_id: str = "ord_1") -> tuple[str, str, str]:
        """Let a card be bought and read its mail: id, number, code."""
        self.pay(line(f"lin_{order_id}", credits=credits, to="support_card"), order_id=order_id)
        issued = self.events("credits.card_issued.v1")[-1]
        return issued["card_id"], issued["number"], self.mails.open(issued["sealed_code"])

    def events(self, name: str) -> list[dict[str, Any]]:
        """The data of what was emitted under a name."""
        return [data for emitted_name, data in emitted(self.database) if emitted_name == name]

    def preview(
        self, number: str, code: str, caller: Identity = BOLT, client_address: str = "192.0.2.7"
    ) -> dict[str, Any]:
        return preview_card(
            self.app, caller, number=number, sealed_code=self.gateway.seal(code), client_address=client_address
        )

    def claim(
        self, number: str, code: str, caller: Identity = BOLT, key: str | None = None,
        client_address: str = "192.0.2.7",
    ) -> dict[str, Any]:  # fmt: skip
        return claim_card(
            self.app, caller, idempotency_key=key or f"key-{next(self._keys)}", number=number,
            sealed_code=self.gateway.seal(code), client_address=client_address,
        )  # fmt: skip

    def recall(self, card_id: str, caller: Identity = ACME, key: str | None = None) -> dict[str, Any]:
        return recall_card(self.app, caller, idempotency_key=key or f"key-{next(self._keys)}", card_id=card_id)

    def freeze(self, card_id: str, caller: Identity = ACME, key: str | None = None) -> dict[str, Any]:
        return freeze_card(self.app, caller, idempotency_key=key or f"key-{next(self._keys)}", card_id=card_id)

    def unfreeze(self, card_id: str, caller: Identity = ACME, key: str | None = None) -> dict[str, Any]:
        return unfreeze_card(self.app, caller, idempotency_key=key or f"key-{next(self._keys)}", card_id=card_id)

    def reissue(self, card_id: str, caller: Identity = ACME, key: str | None = None) -> dict[str, Any]:
        return reissue_card(self.app, caller, idempotency_key=key or f"key-{next(self._keys)}", card_id=card_id)

    def bind(
        self, card_id: str, number: str | None = None, domain: str | None = None, caller: Identity = ACME,
        key: str | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        return bind_card(
            self.app, caller, idempotency_key=key or f"key-{next(self._keys)}", card_id=card_id,
            organization_number=number, mail_domain=domain,
        )  # fmt: skip

    def split(self, card_id: str, *credits: int, caller: Identity = ACME, key: str | None = None) -> dict[str, Any]:
        return split_card(
            self.app, caller, idempotency_key=key or f"key-{next(self._keys)}", card_id=card_id, credits=credits
        )  # fmt: skip

    def mailed(self, card_id: str) -> tuple[str, str]:
        """Number and code of a card as the newest mail about it has them."""
        events = self.events("credits.card_issued.v1") + self.events("credits.card_reissued.v1")
        newest = [event for event in events if event["card_id"] == card_id][-1]
        return newest["number"], self.mails.open(newest["sealed_code"])

    def spend(
        self, credits: int, cause: str = "ticket-1", caller: Identity = SUPPORT, key: str | None = None, **more: Any
    ) -> dict[str, Any]:
        request = {"organization_id": ACME.organization_id, "memo": "Ticket 1", **more}
        key = key or f"key-{next(self._keys)}"
        return spend_credits(self.app, caller, idempotency_key=key, credits=credits, cause=cause, **request)

    def grant(
        self, credits: int, caller: Identity = FINANCE, key: str | None = None, **more: Any
    ) -> dict[str, Any]:  # fmt: skip
        request = {"organization_id": ACME.organization_id, "reason": "Sorry", "expires_at": None, **more}
        key = key or f"key-{next(self._keys)}"
        return grant_credits(self.app, caller, idempotency_key=key, credits=credits, **request)

    def adjust(
        self, credits: int, caller: Identity = FINANCE, key: str | None = None, **more: Any
    ) -> dict[str, Any]:  # fmt: skip
        request = {"organization_id": ACME.organization_id, "reason": "Counted again", **more}
        key = key or f"key-{next(self._keys)}"
        return adjust_credits(self.app, caller, idempotency_key=key, credits=credits, **request)

    def take_back(
        self,
        order_id: str = "ord_1",
        claimed: str = "refuse",
        refund_id: str = "rfd_1",
        caller: Identity | None = None,
        lines: Any = None,
    ) -> dict[str, Any]:
        return take_back_order(self.app, caller, refund_id=refund_id, order_id=order_id, claimed=claimed, lines=lines)

    def balance(self, caller: Identity = ACME) -> int:
        return int(get_balance(self.app, caller)["balance"])

    def set_state(self, card_id: str, state: str) -> None:
        """Put a card into a state that no use case makes yet."""
        with self.database.transaction() as tx:
            tx.execute(sa.update(SUPPORT_CARD).where(SUPPORT_CARD.c.id == card_id).values(state=state))

    def dump(self, *tables: sa.Table) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of some tables."""
        with self.database.reading() as reader:
            return {table.name: sorted(map(tuple, reader.execute(sa.select(table))), key=repr) for table in tables}


def line(
    line_id: str, *, credits: int = 120, quantity: int = 1, to: str | None = "organization", **more: Any
) -> dict[str, Any]:
    """A line of a paid order."""
    values = {
        "id": line_id, "sku": f"PACK-{credits}", "name": f"{credits} credits", "quantity": quantity,
        "credits": credits, "credit_destination": to, "deployment_id": None, "credits_valid_days": None,
    }  # fmt: skip
    return {**values, **more}


@pytest.fixture(name="line")
def line_maker() -> Callable[..., dict[str, Any]]:
    return line


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def desk(migrated: Callable[..., Database], clock: FixedClock) -> Desk:
    """A desk; the test runs on SQLite and on PostgreSQL."""
    return Desk(migrated("credits", clock, pool_size=50), clock)


@pytest.fixture
def postgres_desk(migrated_postgres: Callable[..., Database], clock: FixedClock) -> Desk:
    """A desk on PostgreSQL, for what concerns locks between connections."""
    return Desk(migrated_postgres("credits", clock, pool_size=50), clock)


@pytest.fixture
def sqlite_desk(tmp_path: Path, clock: FixedClock) -> Iterator[Desk]:
    """A desk on SQLite, for what has nothing to do with the kind of database."""
    database = sqlite_database(tmp_path, "credits", clock)
    yield Desk(database, clock)
    database.close()
