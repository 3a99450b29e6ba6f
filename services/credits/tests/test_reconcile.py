"""Reconciliation finds what the database would have refused, had nobody switched its guards off."""

from __future__ import annotations

import pytest

from credits.use_cases.reconcile import reconcile


@pytest.fixture
def unguarded(sqlite_desk, line):
    """A desk without triggers and checks; a grant of 100, a waiting card and a claimed one of 300 each."""
    desk = sqlite_desk
    desk.pay(line("lin_a", credits=100), order_id="ord_0")
    desk.waiting, _, _ = desk.buy_card(order_id="ord_1")
    desk.claimed, number, code = desk.buy_card(order_id="ord_2")
    desk.claim(number, code)
    assert reconcile(desk.app) == []

    def tamper(*statements: str) -> list[tuple[str, str, int, int]]:
        with desk.database.engine.connect() as connection:
            triggers = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars()
            for trigger in list(triggers):
                connection.exec_driver_sql(f"DROP TRIGGER {trigger}")
            for pragma in ("foreign_keys=OFF", "ignore_check_constraints=ON"):
                connection.exec_driver_sql(f"PRAGMA {pragma}")
            for statement in statements:
                connection.exec_driver_sql(statement)
            connection.invalidate()
        return [tuple(broken.values()) for broken in reconcile(desk.app)]

    desk.tamper = tamper
    return desk


def test_a_changed_posting(unguarded):
    breaks = unguarded.tamper(
        "UPDATE posting SET amount = 150 WHERE account_id = 'organization:org_acme' AND side = 'destination'"
    )
    assert {(rule, expected, found) for rule, _, expected, found in breaks} == {
        ("transaction_sums_to_zero", 0, 50),
        ("balance_is_sum_of_postings", 150, 100),
    }


def test_a_lost_posting(unguarded):
    breaks = unguarded.tamper("DELETE FROM posting WHERE account_id = 'issuance:punchcard' AND amount = -100")
    assert [(rule, expected, found) for rule, _, expected, found in breaks] == [("transaction_sums_to_zero", 0, 100)]


def test_a_transaction_without_postings(unguarded):
    breaks = unguarded.tamper(
        "INSERT INTO ledger_transaction SELECT 'ltx_new', kind, 'new', source_id, destination_id, amount, memo, "
        "order_id, card_id, occurred_at, expires_at, free FROM ledger_transaction WHERE kind = 'grant'"
    )
    assert breaks == [("transaction_sums_to_zero", "ltx_new", 0, 0)]


def test_a_changed_balance(unguarded):
    breaks = unguarded.tamper("UPDATE posting SET balance_after = 900 WHERE account_id = 'organization:org_acme'")
    assert breaks == [("balance_is_sum_of_postings", "organization:org_acme", 100, 900)]


def test_a_negative_balance(unguarded):
    breaks = unguarded.tamper("UPDATE posting SET balance_after = -1 WHERE account_id = 'organization:org_acme'")
    assert ("balance_is_not_negative", "organization:org_acme", 0, -1) in breaks


@pytest.mark.parametrize("state", ["recalled", "expired"])
def test_a_card_that_ended_with_its_credits_still_on_it(unguarded, state):
    breaks = unguarded.tamper(f"UPDATE support_card SET state = '{state}' WHERE id = '{unguarded.waiting}'")
    assert breaks == [("card_holds_its_credits", unguarded.waiting, 0, 300)]


def test_a_frozen_card_keeps_its_credits(unguarded):
    assert unguarded.tamper(f"UPDATE support_card SET state = 'frozen' WHERE id = '{unguarded.waiting}'") == []


def test_a_claimed_card_made_claimable_again(unguarded):
    breaks = unguarded.tamper(
        "UPDATE support_card SET state = 'issued', claimant_id = NULL, claimed_at = NULL "
        f"WHERE id = '{unguarded.claimed}'"
    )
    assert breaks == [("card_holds_its_credits", unguarded.claimed, 300, 0)]


def test_a_card_called_split_that_was_not(unguarded):
    breaks = unguarded.tamper(f"UPDATE support_card SET state = 'split' WHERE id = '{unguarded.waiting}'")
    assert breaks == [
        ("card_holds_its_credits", unguarded.waiting, 0, 300),
        ("split_keeps_its_credits", unguarded.waiting, 300, 0),
    ]


def test_a_card_without_an_account(unguarded):
    breaks = unguarded.tamper(
        "INSERT INTO support_card SELECT 'scc_new', 'SCC-NONE', code_mac, state, credits, order_id, 'lin_new', "
        "sequence, issuer_id, issued_at, expires_at, claimant_id, claimant_name, claimed_by_user_id, claimed_at, "
        "credits_valid_days, parent_id, root_id, code_issue, frozen_by, bound_organization_number, bound_mail_domain, "
        "remind_at, frozen_before "
        f"FROM support_card WHERE id = '{unguarded.waiting}'"
    )
    assert breaks == [("card_holds_its_credits", "scc_new", 300, 0)]
