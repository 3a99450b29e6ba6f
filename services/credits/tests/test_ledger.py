"""The ledger under attack: raw SQL on both databases. What must not be is refused by the database, not by us."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from credits.storage import ledger
from credits.storage.tables import LEDGER_ACCOUNT, LEDGER_TRANSACTION, POSTING
from credits.use_cases.reconcile import reconcile

LEDGER = (LEDGER_ACCOUNT, LEDGER_TRANSACTION, POSTING)
ISSUANCE, ORGANIZATION, CARD = "'issuance:punchcard'", "'organization:org_acme'", "'card:x'"


def transaction(source: str, destination: str, amount: str, cause: str = "'c2'", identifier: str = "'t2'") -> str:
    return (
        "INSERT INTO ledger_transaction (id, kind, cause, source_id, destination_id, amount, memo, occurred_at) VALUES "
        f"({identifier}, 'grant', {cause}, {source}, {destination}, {amount}, '', '2026-11-22 12:00:00')"
    )


def posting(of: str, side: str, account: str, amount: int, sequence: str, balance: str, verb: str = "INSERT") -> str:
    return (
        f"{verb} INTO posting (transaction_id, side, account_id, amount, sequence, balance_after) "
        f"VALUES ('{of}', '{side}', {account}, {amount}, {sequence}, {balance})"
    )


ATTACKS = {
    "overdraw": transaction(ORGANIZATION, CARD, "101"),
    "negative amount": transaction(ORGANIZATION, CARD, "-5"),
    "negative amount from outside": transaction(ISSUANCE, CARD, "-5"),
    "nothing": transaction(ORGANIZATION, CARD, "0"),
    "no amount": transaction(ORGANIZATION, CARD, "NULL"),
    "a word": transaction(ISSUANCE, CARD, "'many'"),
    "to itself": transaction(ORGANIZATION, ORGANIZATION, "1"),
    "more than 64 bits": transaction(ISSUANCE, CARD, "9223372036854775808"),
    "from nowhere": transaction("'organization:nobody'", CARD, "1"),
    "to nowhere": transaction(ISSUANCE, "'organization:nobody'", "1"),
    "the same cause": transaction(ISSUANCE, CARD, "1", cause="'c1'"),
    "the same id": transaction(ISSUANCE, CARD, "1", identifier="'t1'"),
    "unknown kind": transaction(ISSUANCE, CARD, "1").replace("'grant'", "'gift'"),
    "posting without a transaction": posting("t9", "destination", ORGANIZATION, 5, "2", "105"),
    "second posting of a side": posting("t1", "destination", ORGANIZATION, 5, "2", "105"),
    "posting to a third account": posting("t1", "destination", CARD, 5, "1", "5"),
    "third side": posting("t1", "both", CARD, 5, "1", "5"),
    "mismatched balance": "UPDATE posting SET balance_after = 1000 WHERE side = 'destination'",
    "changed amount": "UPDATE posting SET amount = 1000 WHERE side = 'destination'",
    "deleted posting": "DELETE FROM posting WHERE side = 'source'",
    "changed transaction": "UPDATE ledger_transaction SET amount = 1000",
    "changed memo": "UPDATE ledger_transaction SET memo = 'never was'",
    "deleted transaction": "DELETE FROM ledger_transaction",
    "unbound account": "UPDATE ledger_account SET bounded = false, kind = 'issuance'",
    "deleted account": "DELETE FROM ledger_account WHERE id = 'card:x'",
    "unbounded organisation": "INSERT INTO ledger_account (id, kind, owner_id, bounded) "
    "VALUES ('organization:y', 'organization', 'y', false)",
    "unknown kind of account": "INSERT INTO ledger_account (id, kind, owner_id, bounded) "
    "VALUES ('bank:y', 'bank', 'y', true)",
}
#: SQLite would swap a row without asking the DELETE trigger, keep fractions, and forget foreign keys when told to.
SQLITE_ATTACKS = {
    "replaced transaction": transaction(ISSUANCE, CARD, "1", identifier="'t1'").replace("INSERT", "INSERT OR REPLACE"),
    "replaced cause": transaction(ISSUANCE, CARD, "1", cause="'c1'").replace("INSERT", "INSERT OR REPLACE"),
    "replaced posting": posting("t1", "destination", ORGANIZATION, 999, "1", "999", "INSERT OR REPLACE"),
    "replaced sequence": posting("t9", "destination", ORGANIZATION, 999, "1", "999", "INSERT OR REPLACE"),
    "replaced by update": "UPDATE OR REPLACE posting SET side = 'source'",
    "fraction": transaction(ISSUANCE, CARD, "1.5"),
    "posting to nothing, keys off": posting("t9", "destination", ORGANIZATION, 5, "2", "105"),
    "from nowhere, keys off": transaction("'organization:nobody'", CARD, "1"),
}
POSTGRESQL_ATTACKS = {
    "truncated postings": "TRUNCATE posting",
    "truncated ledger": "TRUNCATE ledger_account CASCADE",
    "posting in one breath with its transaction": "WITH t AS ("
    + transaction(ISSUANCE, CARD, "1")
    + " RETURNING id) INSERT INTO posting (transaction_id, side, account_id, amount, sequence, balance_after) "
    f"SELECT id, 'destination', {ORGANIZATION}, 5, 2, 105 FROM t",
}


def broken(desk) -> list[dict]:
    """What is wrong with the ledger; but for lots, which the use cases draw from and these raw moves do not."""
    return [found for found in reconcile(desk.app) if found["rule"] != "credits_leave_by_lots"]


@pytest.fixture
def attacked(desk):
    """A desk whose ledger has an organisation with 100 credits and an empty card account."""
    with desk.database.transaction() as tx:
        ledger.open_account(tx, "organization:org_acme")
        ledger.open_account(tx, "card:x")
        tx.execute(sa.text(transaction(ISSUANCE, ORGANIZATION, "100", cause="'c1'", identifier="'t1'")))
    return desk


def refused(desk, statement: str, before: str | None = None) -> None:
    """The statement fails and the ledger is what it was."""
    untouched = desk.dump(*LEDGER)
    with desk.database.engine.connect() as connection:
        if before:
            connection.exec_driver_sql(before)
        with pytest.raises(sa.exc.DBAPIError):
            connection.exec_driver_sql(statement)
        connection.rollback()
        if before:
            connection.invalidate()
    assert desk.dump(*LEDGER) == untouched
    assert broken(desk) == []


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_database_refuses(attacked, attack):
    refused(attacked, ATTACKS[attack])


def test_each_database_refuses_what_only_it_can_be_asked(attacked):
    if attacked.database.engine.dialect.name == "sqlite":
        for attack, statement in SQLITE_ATTACKS.items():
            refused(attacked, statement, "PRAGMA foreign_keys=OFF" if "keys off" in attack else None)
    else:
        for statement in POSTGRESQL_ATTACKS.values():
            refused(attacked, statement)


def test_an_account_cannot_be_replaced(attacked):
    if attacked.database.engine.dialect.name != "sqlite":
        return refused(attacked, "MERGE INTO ledger_account a USING (SELECT 1) s ON a.id = 'card:x' "
                                 "WHEN MATCHED THEN UPDATE SET bounded = false")  # fmt: skip
    untouched = attacked.dump(*LEDGER)
    with attacked.database.engine.connect() as connection:
        connection.exec_driver_sql("INSERT OR REPLACE INTO ledger_account VALUES ('card:x', 'issuance', 'z', false)")
    assert attacked.dump(*LEDGER) == untouched
    return None


def test_postings_are_written_by_the_database(attacked):
    with attacked.database.transaction() as tx:
        ledger.post(tx, "issue", cause="c2", source="organization:org_acme", destination="card:x", amount=30, memo="")
    assert [row[1:] for row in attacked.dump(POSTING)["posting"]] == [
        ("destination", "card:x", 30, 1, 30),
        ("source", "organization:org_acme", -30, 2, 70),
        ("destination", "organization:org_acme", 100, 1, 100),
        ("source", "issuance:punchcard", -100, None, None),
    ]
    assert broken(attacked) == []


def test_the_last_credit_can_leave_but_no_more(attacked):
    with attacked.database.transaction() as tx:
        ledger.post(tx, "issue", cause="c2", source="organization:org_acme", destination="card:x", amount=100, memo="")
    with attacked.database.reading() as reader:
        assert ledger.balance(reader, "organization:org_acme") == 0
        assert ledger.balance(reader, "card:x") == 100
    refused(attacked, transaction(ORGANIZATION, CARD, "1", cause="'c3'", identifier="'t3'"))


def test_fifty_at_once_cannot_take_more_than_there_is(attacked):
    def take(number: int) -> bool:
        try:
            with attacked.database.transaction() as tx:
                ledger.post(tx, "issue", cause=f"take-{number}", source="organization:org_acme", destination="card:x",
                            amount=10, memo="")  # fmt: skip
        except sa.exc.IntegrityError:
            return False
        return True

    with ThreadPoolExecutor(50) as threads:
        taken = list(threads.map(take, range(50)))
    assert taken.count(True) == 10
    with attacked.database.reading() as reader:
        assert ledger.balance(reader, "organization:org_acme") == 0
        assert ledger.balance(reader, "card:x") == 100
    assert broken(attacked) == []


def test_transfers_both_ways_at_once_do_not_wait_for_each_other_for_ever(attacked):
    with attacked.database.transaction() as tx:
        ledger.post(tx, "grant", cause="c2", source=ledger.ISSUANCE, destination="card:x", amount=100, memo="")
    ends = ["organization:org_acme", "card:x"]

    def move(number: int) -> None:
        source, destination = ends if number % 2 else reversed(ends)
        with attacked.database.transaction() as tx:
            ledger.post(tx, "issue", cause=f"move-{number}", source=source, destination=destination, amount=1, memo="")

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(move, range(80)))
    with attacked.database.reading() as reader:
        assert [ledger.balance(reader, account) for account in ends] == [100, 100]
    assert broken(attacked) == []
