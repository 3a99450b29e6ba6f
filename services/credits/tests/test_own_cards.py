"""What an issuer does with its cards: freeze, reissue, bind, split."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from chassis.testing import identity
from credits.domain.binding import Binding, is_mail_domain
from credits.domain.splitting import is_split_of
from credits.storage.tables import SUPPORT_CARD
from credits.use_cases.expire_cards import expire_cards
from credits.use_cases.get_card import get_card
from credits.use_cases.list_cards import list_cards
from credits.use_cases.order_facts import order_facts
from credits.use_cases.reconcile import credit_totals, reconcile
from credits.use_cases.remind_of_cards import remind_of_cards
from kernel.errors import Refusal


def code_of(call) -> str:
    with pytest.raises(Refusal) as refused:
        call()
    return refused.value.code


def outcome(call) -> str:
    try:
        call()
    except Refusal as refusal:
        return refusal.code
    return "done"


def state_of(desk, card_id: str) -> str:
    return get_card(desk.app, desk.acme, card_id=card_id)["state"]


def listed(desk, state: str | None = None) -> list[tuple[str, int]]:
    found = list_cards(desk.app, desk.acme, role="issuer", limit=100, cursor=None, state=state)["items"]
    return sorted((card["state"], card["credits"]) for card in found)


def test_a_frozen_card_cannot_be_claimed_until_it_is_unfrozen(desk):
    card_id, number, code = desk.buy_card()
    frozen = desk.freeze(card_id, key="k")
    assert (frozen["card"]["state"], frozen["card"]["frozen_by"], frozen["replayed"]) == ("frozen", "issuer", False)
    assert desk.freeze(card_id, key="k") == {**frozen, "replayed": True}
    assert code_of(lambda: desk.freeze(card_id)) == "card_frozen"
    assert code_of(lambda: desk.claim(number, code)) == "card_not_claimable"
    assert code_of(lambda: desk.preview(number, code)) == "card_not_claimable"
    assert reconcile(desk.app) == []
    assert desk.unfreeze(card_id)["card"]["state"] == "issued"
    assert code_of(lambda: desk.unfreeze(card_id)) == "card_not_frozen"
    assert desk.claim(number, code)["credits"] == 300


def test_what_staff_have_frozen_stays_so(desk):
    card_id, _, _ = desk.buy_card()
    desk.freeze(card_id)
    with desk.database.transaction() as tx:
        tx.execute(sa.update(SUPPORT_CARD).values(frozen_by="staff"))
    assert code_of(lambda: desk.unfreeze(card_id)) == "card_frozen_by_staff"
    assert code_of(lambda: desk.recall(card_id)) == "card_frozen_by_staff"  # nor do its credits get away


def test_a_new_code_ends_the_old_one_and_is_mailed_to_the_buyer(desk):
    card_id, number, code = desk.buy_card()
    reply = desk.reissue(card_id, key="k")
    assert desk.reissue(card_id, key="k") == {**reply, "replayed": True}
    [event] = desk.events("credits.card_reissued.v1")
    assert (event["card_id"], event["number"], event["issue"], event["credits"]) == (card_id, number, 2, 300)
    assert (event["order_number"], event["buyer"]["email"], event["buyer"]["user_id"]) == (
        "O-1001", "ada@acme.example", "usr_ada",
    )  # fmt: skip
    new_code = desk.mails.open(event["sealed_code"])
    assert new_code not in str(reply)
    assert new_code != code
    assert code_of(lambda: desk.claim(number, code)) == "card_not_claimable"
    assert desk.claim(number, new_code)["credits"] == 300
    facts = order_facts(desk.app, desk.support, limit=10, cursor=None)["items"]
    assert facts[0]["reissues"] == [f"{card_id}:2"]


def test_a_frozen_card_gets_a_new_code_and_stays_frozen(desk):
    card_id, _number, _ = desk.buy_card()
    desk.freeze(card_id)
    desk.reissue(card_id)
    assert code_of(lambda: desk.claim(*desk.mailed(card_id))) == "card_not_claimable"
    desk.unfreeze(card_id)
    desk.claim(*desk.mailed(card_id))


def test_a_card_bound_to_an_organisation_is_for_nobody_else(desk):
    card_id, number, code = desk.buy_card()
    reply = desk.bind(card_id, number="1007")
    assert reply["card"]["bound_to"] == {"organization_number": "1007", "mail_domain": None}
    other = replace(desk.bolt, organization_id="org_other", organization_number="1008")
    unknown = replace(desk.bolt, organization_id="org_other", organization_number="")
    for caller in (other, unknown, desk.acme):
        assert code_of(lambda caller=caller: desk.preview(number, code, caller)) == "card_not_for_you"
        assert code_of(lambda caller=caller: desk.claim(number, code, caller)) == "card_not_for_you"
    assert desk.claim(number, code)["credits"] == 300


def test_a_card_bound_to_a_mail_domain_is_for_its_people(desk):
    card_id, number, code = desk.buy_card()
    assert desk.bind(card_id, domain="@Bolt.Example")["card"]["bound_to"] == {
        "organization_number": None, "mail_domain": "bolt.example",
    }  # fmt: skip
    for email in ("bob@sub.bolt.example", "bob@evilbolt.example", "bolt.example@evil.example"):
        caller = replace(desk.bolt, email=email)
        assert code_of(lambda caller=caller: desk.claim(number, code, caller)) == "card_not_for_you"
    desk.bind(card_id)
    desk.bind(card_id, domain="bolt.example")
    assert desk.claim(number, code, replace(desk.bolt, email="Bob@BOLT.example"))["credits"] == 300


def test_only_who_has_the_code_learns_that_a_card_is_for_others(desk):
    """Without the right code, a bound card is answered like any other; and being told is no failure that counts."""
    desk.app.throttle = type(desk.app.throttle)(desk.app.throttle._table, 2)
    card_id, number, code = desk.buy_card()
    desk.bind(card_id, number="1008")
    for _ in range(3):
        assert code_of(lambda: desk.claim(number, code)) == "card_not_for_you"
    assert code_of(lambda: desk.claim(number, "ABCDEF")) == "card_not_claimable"
    desk.freeze(card_id)
    assert code_of(lambda: desk.claim(number, code)) == "card_not_claimable"


def test_a_binding_can_be_lifted_and_the_claimant_does_not_see_it(desk):
    card_id, number, code = desk.buy_card()
    desk.bind(card_id, number="1008")
    assert desk.bind(card_id)["card"]["bound_to"] is None
    desk.bind(card_id, number="1007")
    claimed = desk.claim(number, code)["card"]
    assert "bound_to" not in claimed
    assert "split_from" not in claimed
    assert code_of(lambda: desk.bind(card_id, domain="not a domain")) == "not_a_mail_domain"


def test_split_cards_carry_what_the_card_had(desk):
    card_id, number, code = desk.buy_card()
    desk.bind(card_id, number="1007")
    reply = desk.split(card_id, 200, 60, 40, key="k")
    assert desk.split(card_id, 200, 60, 40, key="k") == {**reply, "replayed": True}
    assert reply["card"]["state"] == "split"
    parts = reply["cards"]
    assert [(part["credits"], part["state"], part["split_from"]) for part in parts] == [
        (200, "issued", card_id), (60, "issued", card_id), (40, "issued", card_id),
    ]  # fmt: skip
    whole = get_card(desk.app, desk.acme, card_id=card_id)
    assert {part["expires_at"] for part in parts} == {whole["expires_at"]}
    assert [part["bound_to"]["organization_number"] for part in parts] == ["1007"] * 3
    assert {part["order_id"] for part in parts} == {"ord_1"}
    assert code_of(lambda: desk.claim(number, code)) == "card_not_claimable"
    mails = [desk.mailed(part["id"]) for part in parts]
    assert len({number for number, _ in mails}) == 3
    assert [desk.claim(*mail)["credits"] for mail in mails] == [200, 60, 40]
    assert desk.balance(desk.bolt) == 300
    [fact] = order_facts(desk.app, desk.support, limit=10, cursor=None)["items"]
    assert (fact["card_id"], fact["credits"], fact["split_into"]) == (card_id, 300, [part["id"] for part in parts])
    assert reconcile(desk.app) == []


def test_a_part_can_be_split_recalled_and_expire(desk):
    card_id, _, _ = desk.buy_card()
    first, second = desk.split(card_id, 200, 100)["cards"]
    third, fourth = desk.split(first["id"], 150, 50)["cards"]
    desk.recall(third["id"])
    desk.claim(*desk.mailed(second["id"]))
    [fact] = order_facts(desk.app, desk.support, limit=10, cursor=None)["items"]
    assert (fact["with_buyer"], fact["taken_back"]) == (150 + 50, 0)
    assert sorted(fact["split_into"]) == sorted(card["id"] for card in (first, second, third, fourth))
    desk.clock.advance(days=365)
    assert listed(desk, "expired") == [("expired", 50)]
    assert expire_cards(desk.app) == 1
    assert listed(desk) == [("claimed", 100), ("expired", 50), ("recalled", 150), ("split", 200), ("split", 300)]
    totals = credit_totals(desk.app)
    assert (totals["brought"], totals["on_organizations"], totals["expired"]) == (300, 250, 50)
    assert reconcile(desk.app) == []


def test_a_refund_takes_back_what_is_on_the_parts(desk):
    card_id, _, _ = desk.buy_card()
    first, second = desk.split(card_id, 200, 100)["cards"]
    desk.claim(*desk.mailed(second["id"]))
    with pytest.raises(Refusal) as refused:
        desk.take_back()
    assert refused.value.extra == {"claimed": 100, "spent": 0}
    assert desk.take_back(claimed="refund_anyway")["taken_back"] == 200
    assert state_of(desk, first["id"]) == "recalled"
    [fact] = order_facts(desk.app, desk.support, limit=10, cursor=None)["items"]
    assert (fact["with_buyer"], fact["taken_back"]) == (0, 200)
    assert reconcile(desk.app) == []


@pytest.mark.parametrize("parts", [(300,), (200, 99), (200, 101), (300, 0), (301, -1), (1,) * 51])
def test_parts_that_do_not_add_up_are_refused(desk, parts):
    assert not is_split_of(300, parts)
    card_id, number, code = desk.buy_card()
    assert code_of(lambda: desk.split(card_id, *parts)) == "not_a_split"
    assert desk.claim(number, code)["credits"] == 300


def test_what_is_over_cannot_be_changed(desk):
    claimed, number, code = desk.buy_card(order_id="ord_1")
    desk.claim(number, code)
    recalled, _, _ = desk.buy_card(order_id="ord_2")
    desk.recall(recalled)
    split, _, _ = desk.buy_card(order_id="ord_3")
    desk.split(split, 100, 200)
    expired, _, _ = desk.buy_card(order_id="ord_4")
    desk.clock.advance(days=365)
    changes = (
        desk.freeze, desk.unfreeze, desk.reissue, desk.bind, desk.recall, lambda card_id: desk.split(card_id, 100, 200)
    )  # fmt: skip
    for card_id, state in ((claimed, "claimed"), (recalled, "recalled"), (split, "split"), (expired, "expired")):
        for change in changes:
            assert code_of(lambda change=change, card_id=card_id: change(card_id)) == f"card_{state}"
    assert code_of(lambda: desk.split(desk_frozen(desk), 100, 200)) == "card_frozen"


def desk_frozen(desk) -> str:
    card_id, _, _ = desk.buy_card(order_id="ord_frozen")
    desk.freeze(card_id)
    return card_id


def test_only_the_issuer_changes_a_card(desk):
    card_id, _, _ = desk.buy_card()
    changes = (
        desk.freeze, desk.unfreeze, desk.reissue, desk.bind,
        lambda card_id, caller: desk.split(card_id, 1, 299, caller=caller),
    )  # fmt: skip
    for change in changes:
        assert code_of(lambda change=change: change(card_id, caller=desk.bolt)) == "not_found"
        assert code_of(lambda change=change: change("scc_none", caller=desk.acme)) == "not_found"
        for role in ("viewer", "ticket", "support"):
            assert code_of(lambda change=change, role=role: change(card_id, caller=identity(role))) == "forbidden"
    desk.freeze(card_id, key="k")
    assert code_of(lambda: desk.reissue(card_id, key="k")) == "idempotency_key_reused"


def test_a_buyer_is_reminded_once_before_a_card_expires(desk):
    card_id, _number, _ = desk.buy_card()
    _claimed, *bearer = desk.buy_card(order_id="ord_2")
    desk.claim(*bearer)
    desk.clock.advance(days=334)
    assert remind_of_cards(desk.app) == 0
    desk.clock.advance(days=1)
    with ThreadPoolExecutor(3) as threads:
        assert sum(threads.map(lambda _: remind_of_cards(desk.app), range(3))) == 1
    [event] = desk.events("credits.card_expiring.v1")
    assert (event["card_id"], event["expires_at"], event["order_number"]) == (
        card_id, "2027-11-22T12:00:00.000Z", "O-1001",
    )  # fmt: skip
    assert remind_of_cards(desk.app) == 0


def test_parts_are_reminded_of_and_a_card_that_is_over_is_not(desk):
    card_id, _, _ = desk.buy_card()
    desk.split(card_id, 100, 200)
    desk.app.card_reminder = None
    desk.buy_card(order_id="ord_2")
    desk.clock.advance(days=340)
    assert remind_of_cards(desk.app) == 2


def test_lists_by_state_as_it_is_seen_now(desk):
    desk.freeze(desk.buy_card()[0])
    desk.buy_card(order_id="ord_2")
    assert listed(desk, "issued") == [("issued", 300)]
    assert listed(desk, "frozen") == [("frozen", 300)]
    assert listed(desk, "expired") == []
    desk.clock.advance(days=365)  # before any sweep
    assert listed(desk, "expired") == [("expired", 300)] * 2
    assert listed(desk, "issued") == listed(desk, "frozen") == []


@pytest.mark.parametrize(
    ("change", "refusals"),
    [
        ("freeze", {"card_claimed"}),
        ("reissue", {"card_claimed"}),
        ("split", {"card_claimed"}),
        ("bind", {"card_claimed"}),
    ],
)
def test_a_claim_and_a_change_at_once_have_one_winner(postgres_desk, change, refusals):
    """Whoever has the card first wins; the other finds a card that is not what it looked for."""
    desk = postgres_desk
    changes = {
        "freeze": desk.freeze, "reissue": desk.reissue, "split": lambda card_id: desk.split(card_id, 100, 200),
        "bind": lambda card_id: desk.bind(card_id, number="1008"),
    }  # fmt: skip
    lost = {"bind": "card_not_for_you"}.get(change, "card_not_claimable")
    claimed = 0
    for round_ in range(6):
        card_id, number, code = desk.buy_card(order_id=f"ord_{change}_{round_}")
        with ThreadPoolExecutor(2) as threads:
            claim = threads.submit(outcome, lambda number=number, code=code: desk.claim(number, code))
            other = threads.submit(outcome, lambda card_id=card_id: changes[change](card_id))
        assert (claim.result(), other.result()) in (("done", "card_claimed"), (lost, "done"))
        claimed += claim.result() == "done"
    assert desk.balance(desk.bolt) == 300 * claimed
    assert reconcile(desk.app) == []


def test_splits_and_a_refund_at_once_leave_no_part_behind(postgres_desk, line):
    """Two cards of one line are split while the order is refunded: every credit is taken back, on whichever card."""
    desk = postgres_desk
    for round_ in range(4):
        order_id = f"ord_{round_}"
        desk.pay(line(f"lin_{round_}", credits=300, quantity=2, to="support_card"), order_id=order_id)
        ids = [event["card_id"] for event in desk.events("credits.card_issued.v1") if event["order_id"] == order_id]
        with ThreadPoolExecutor(3) as threads:
            splits = [threads.submit(outcome, lambda card_id=card_id: desk.split(card_id, 100, 200)) for card_id in ids]
            refund = threads.submit(desk.take_back, order_id, "refuse", f"rfd_{round_}")
        assert {done.result() for done in splits} <= {"done", "card_recalled"}
        assert refund.result()["taken_back"] == 600
    assert credit_totals(desk.app)["on_cards"] == 0
    assert reconcile(desk.app) == []


def test_splits_of_cards_of_one_line_at_once(postgres_desk, line):
    desk = postgres_desk
    desk.pay(line("lin_a", credits=100, quantity=5, to="support_card"))
    ids = [event["card_id"] for event in desk.events("credits.card_issued.v1")]
    with ThreadPoolExecutor(5) as threads:
        assert set(threads.map(lambda card_id: outcome(lambda: desk.split(card_id, 50, 50)), ids)) == {"done"}
    assert credit_totals(desk.app)["on_cards"] == 500
    assert reconcile(desk.app) == []


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE support_card SET state = 'split' WHERE id = '{issued}'",
        "UPDATE support_card SET state = 'issued' WHERE id = '{split}'",
        "INSERT INTO support_card (id, number, code_mac, state, credits, order_id, order_line_id, sequence, issuer_id, "
        "issued_at, parent_id) SELECT 'scc_x', 'SCC-X', code_mac, 'issued', 1, order_id, order_line_id, 99, issuer_id, "
        "issued_at, id FROM support_card WHERE id = '{split}'",
        "INSERT INTO support_card (id, number, code_mac, state, credits, order_id, order_line_id, sequence, issuer_id, "
        "issued_at, parent_id) SELECT 'scc_x', 'SCC-X', code_mac, 'issued', 301, order_id, order_line_id, 99, "
        "issuer_id, issued_at, id FROM support_card WHERE id = '{issued}'",
    ],
)
def test_the_database_keeps_a_split_whole(desk, attack):
    split, _, _ = desk.buy_card()
    desk.split(split, 100, 200)
    issued, _, _ = desk.buy_card(order_id="ord_2")
    untouched = desk.dump(SUPPORT_CARD)
    with desk.database.engine.connect() as connection:
        with pytest.raises(sa.exc.DBAPIError):
            connection.exec_driver_sql(attack.format(split=split, issued=issued))
        connection.rollback()
    assert desk.dump(SUPPORT_CARD) == untouched


def test_who_a_binding_allows():
    assert Binding().allows("", "")
    assert Binding("7").allows("7", "x@y.example")
    assert not Binding("7").allows("", "x@y.example")
    assert not Binding(mail_domain="y.example").allows("7", "")
    assert not Binding(mail_domain="y.example").allows("7", "y.example@z.example")


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("bolt.example", True), ("a.b-c.example", True), ("xn--bcher-kva.example", True), ("bolt", False),
        ("-bolt.example", False), ("bolt..example", False), ("bolt.example.", False), ("a@bolt.example", False),
        ("bolt example", False), ("", False), ("a." * 130 + "example", False),
    ],
)  # fmt: skip
def test_mail_domains(text, is_one):
    assert is_mail_domain(text) is is_one
