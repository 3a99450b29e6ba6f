"""The rules of a cart, without anything around them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cart.domain import cart as rules
from cart.domain.products import Deployment, Product
from kernel.errors import Kind, Refusal
from kernel.money import Money

PACK = Product("PACK", "Pack", "credit_pack", 120, False, 10, Money(12000, "USD"))
LICENCE = Product("LICENCE", "Licence", "licence", 0, True, 10, Money(500, "USD"))
CONTRACT = Product("CONTRACT", "Contract", "contract", 60, True, 3, Money(900, "USD"))
BOX = Product("BOX", "Box", "hardware", 0, False, 10, Money(7, "USD"))
EMPTY = rules.Cart("crt_1", 4, "USD")


def cart_of(*lines: rules.Line) -> rules.Cart:
    return replace(EMPTY, lines=lines)


def shape(cart: rules.Cart) -> list[tuple[str, int, str | None, str | None]]:
    return [(line.id, line.quantity, line.deployment_id, line.credit_destination) for line in cart.lines]


def refusal_of(call: object, *arguments: object) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value


def test_lines_merge_if_sku_deployment_and_destination_agree() -> None:
    cart = cart_of(rules.Line("a", PACK, 2, None, "support_card"))
    assert shape(rules.add_line(cart, rules.Line("b", PACK, 3, None, "support_card"))) == [
        ("a", 5, None, "support_card")
    ]


@pytest.mark.parametrize(
    "other",
    [
        rules.Line("b", CONTRACT, 1, "dep_2", "support_card"),
        rules.Line("b", CONTRACT, 1, "dep_1", "organization"),
        rules.Line("b", CONTRACT, 1, "dep_1", None),
        rules.Line("b", LICENCE, 1, "dep_1", None),
    ],
)
def test_lines_that_differ_stay_apart(other: rules.Line) -> None:
    cart = cart_of(rules.Line("a", CONTRACT, 1, "dep_1", "support_card"))
    assert [line.id for line in rules.add_line(cart, other).lines] == ["a", "b"]


@pytest.mark.parametrize(
    ("line", "code", "field"),
    [
        (rules.Line("b", PACK, 11), "quantity_out_of_range", "quantity"),
        (rules.Line("b", PACK, 0), "quantity_out_of_range", "quantity"),
        (rules.Line("b", PACK, -1), "quantity_out_of_range", "quantity"),
        (rules.Line("b", PACK, 1, "dep_1"), "deployment_not_allowed", "deployment_id"),
        (rules.Line("b", BOX, 1, None, "organization"), "credit_destination_not_allowed", "credit_destination"),
    ],
)
def test_what_a_line_may_not_say(line: rules.Line, code: str, field: str) -> None:
    refusal = refusal_of(rules.add_line, EMPTY, line)
    assert (refusal.kind, refusal.code, refusal.errors[0]["field"]) == (Kind.INVALID, code, field)


def test_merging_above_the_limit_is_refused() -> None:
    cart = cart_of(rules.Line("a", PACK, 8))
    assert refusal_of(rules.add_line, cart, rules.Line("b", PACK, 3)).code == "quantity_out_of_range"


def test_a_cart_has_a_limit_of_lines_that_merging_does_not_count_against() -> None:
    full = cart_of(*(rules.Line(f"l{n:03}", LICENCE, 1, f"dep_{n}") for n in range(rules.MAX_LINES)))
    assert refusal_of(rules.add_line, full, rules.Line("x", LICENCE, 1, "dep_more")).code == "cart_full"
    assert len(rules.add_line(full, rules.Line("x", LICENCE, 1, "dep_5")).lines) == rules.MAX_LINES


def test_a_changed_line_that_equals_another_joins_it_and_keeps_its_own_id() -> None:
    cart = cart_of(rules.Line("a", LICENCE, 1, "dep_1"), rules.Line("b", LICENCE, 2, "dep_2"))
    assert shape(rules.change_line(cart, "b", {"deployment_id": "dep_1"})) == [("b", 3, "dep_1", None)]


def test_a_choice_can_be_taken_back_and_no_change_is_no_change() -> None:
    cart = cart_of(rules.Line("a", PACK, 1, None, "organization"))
    assert shape(rules.change_line(cart, "a", {"credit_destination": None})) == [("a", 1, None, None)]
    assert rules.change_line(cart, "a", {"quantity": 1}) is cart


@pytest.mark.parametrize("call", [lambda cart: rules.change_line(cart, "no", {}), lambda c: rules.remove_line(c, "no")])
def test_a_line_of_another_cart_is_not_found(call: object) -> None:
    assert refusal_of(call, cart_of(rules.Line("a", PACK, 1))).kind is Kind.NOT_FOUND


def test_apply_to_all_says_what_it_did() -> None:
    cart = cart_of(
        rules.Line("a", LICENCE, 1),
        rules.Line("b", PACK, 1),
        rules.Line("c", CONTRACT, 2, "dep_2", "organization"),
        rules.Line("d", replace(LICENCE, sku="GONE"), 1, available=False),
    )
    cart, applied, skipped = rules.apply_deployment(cart, "dep_1")
    assert applied == ["a", "c"]
    assert skipped == [("b", "deployment_not_needed"), ("d", "product_unavailable")]
    assert [line.deployment_id for line in cart.lines] == ["dep_1", None, "dep_1", None]


def test_apply_to_all_joins_lines_that_become_equal() -> None:
    cart = cart_of(*(rules.Line(name, LICENCE, 2, f"dep_{name}") for name in "abc"))
    cart, applied, skipped = rules.apply_deployment(cart, "dep_1")
    assert shape(cart) == [(applied[0], 6, "dep_1", None)]
    assert skipped == []


def test_apply_to_all_skips_what_would_be_too_many() -> None:
    cart = cart_of(rules.Line("a", CONTRACT, 2, "dep_1"), rules.Line("b", CONTRACT, 2, "dep_2"))
    cart, applied, skipped = rules.apply_deployment(cart, "dep_1")
    assert (applied, skipped) == (["a"], [("b", "quantity_out_of_range")])
    assert shape(cart) == [("a", 2, "dep_1", None), ("b", 2, "dep_2", None)]


def test_missing_names_what_must_still_be_chosen() -> None:
    assert rules.Line("a", CONTRACT, 1).missing == ["deployment", "credit_destination"]
    assert rules.Line("a", CONTRACT, 1, "dep_1", "organization").missing == []
    assert rules.Line("a", BOX, 1).missing == []


def test_only_a_visible_active_deployment() -> None:
    visible = {"dep_1": Deployment("dep_1", True), "dep_old": Deployment("dep_old", False)}
    rules.check_deployment("dep_1", visible)
    assert refusal_of(rules.check_deployment, "dep_other", visible).kind is Kind.NOT_FOUND
    assert refusal_of(rules.check_deployment, "dep_old", visible).code == "deployment_retired"


def test_a_version_is_checked_only_if_given() -> None:
    EMPTY.check_version(None)
    EMPTY.check_version(4)
    refusal = refusal_of(EMPTY.check_version, 3)
    assert (refusal.kind, refusal.code) == (Kind.PRECONDITION_FAILED, "stale_cart")
