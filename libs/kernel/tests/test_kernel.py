"""The kernel's rules."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import base32
from kernel.card_numbers import brand_of, contains_card_number, passes_luhn
from kernel.errors import Kind, Refusal, invalid
from kernel.ids import new_id
from kernel.money import Money


@given(st.integers(min_value=0, max_value=2**115 - 1))
def test_base32_reads_back_what_it_wrote(value: int) -> None:
    assert base32.decode(base32.encode(value, 23)) == value


@given(st.integers(min_value=0, max_value=2**50 - 1), st.integers(min_value=0, max_value=9), st.integers(1, 31))
def test_one_wrong_symbol_changes_the_check_symbol(value: int, position: int, by: int) -> None:
    text = base32.encode(value, 10)
    wrong = base32.ALPHABET[(base32.ALPHABET.index(text[position]) + by) % 32]
    changed = base32.decode(text[:position] + wrong + text[position + 1 :])
    assert base32.check_symbol(changed) != base32.check_symbol(value)


def test_what_people_type_is_understood() -> None:
    assert base32.normalise(" o1l-i abc ") == "0111ABC"


def test_base32_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="fit"):
        base32.encode(32, 1)
    with pytest.raises(ValueError, match="alphabet"):
        base32.decode("U")


def test_ids_differ_and_carry_their_prefix() -> None:
    ids = {new_id("ord") for _ in range(1000)}
    assert len(ids) == 1000
    assert all(i.startswith("ord_") and len(i) == 30 for i in ids)


def test_ids_sort_as_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    clock = iter([now, now, now, now - 10**9, now + 10**7, now])
    monkeypatch.setattr(time, "time_ns", lambda: next(clock))
    ids = [new_id("ord") for _ in range(6)]
    assert ids == sorted(set(ids))


def test_money_adds_within_a_currency_only() -> None:
    assert Money(100, "USD") * 3 - Money(50, "USD") == Money(250, "USD")
    with pytest.raises(ValueError, match="mix"):
        Money(1, "USD") + Money(1, "EUR")
    with pytest.raises(TypeError):
        Money(1.5, "USD")  # type: ignore[arg-type]  # the point of the test
    with pytest.raises(ValueError, match="unknown currency"):
        Money(1, "XXX")


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(12000, "USD"), "120.00 USD"),
        (Money(-5, "USD"), "-0.05 USD"),
        (Money(7, "JPY"), "7 JPY"),
        (Money(1234, "KWD"), "1.234 KWD"),
    ],
)
def test_money_is_printed_with_the_digits_of_its_currency(money: Money, text: str) -> None:
    assert str(money) == text


@pytest.mark.parametrize(
    "text",
    ["4242424242424242", "pay with 4242 4242 4242 4242, please", "3782-822463-10005", "x: 5555555555554444."],
)
def test_card_numbers_are_found(text: str) -> None:
    assert contains_card_number(text)


@pytest.mark.parametrize("text", ["4242424242424241", "14181336", "PO-2026-000123", "ord_01HF4242424242424242AB", ""])
def test_other_numbers_are_not_card_numbers(text: str) -> None:
    assert not contains_card_number(text)


def test_luhn_and_brand() -> None:
    assert passes_luhn("4242424242424242")
    assert [brand_of(n) for n in ("4242", "3782", "5555", "2221", "6011", "9")] == [
        "visa", "amex", "mastercard", "mastercard", "discover", "unknown",
    ]  # fmt: skip


def test_a_refusal_survives_the_bus() -> None:
    refusal = Refusal.from_dict(invalid("too_many_lines", "Take some out.", "lines").as_dict())
    assert (refusal.kind, refusal.code, refusal.detail) == (Kind.INVALID, "too_many_lines", "Take some out.")
    assert refusal.errors == [{"field": "lines", "message": "Take some out."}]
    assert Refusal.from_dict({"kind": "from the future"}).kind is Kind.INTERNAL
