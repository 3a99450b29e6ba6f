"""Card numbers and claim codes."""

import re
from collections.abc import Callable
from random import Random
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from credits.domain import codes
from kernel import base32
from kernel.card_numbers import contains_card_number

PEPPER = b"p" * 32
NUMBER = re.compile(r"SCC(-[0-9A-HJKMNP-TV-Z]{4}){3}\Z")
CODE = re.compile(r"[0-9A-HJKMNP-TV-Z]{6}(-[0-9A-HJKMNP-TV-Z]{6}){3}\Z")


def drawn_by(make: Callable[[], str]) -> st.SearchStrategy[str]:
    """What `make` makes of random bits that hypothesis can repeat."""

    def draw(seed: int) -> str:
        with patch.object(codes.secrets, "randbits", Random(seed).getrandbits):
            return make()

    return st.integers(min_value=0).map(draw)


numbers = drawn_by(codes.new_number)
claim_codes = drawn_by(codes.new_claim_code)


@st.composite
def retyped(draw: st.DrawFn, written: st.SearchStrategy[str]) -> tuple[str, str]:
    """Something written, and how a person might type it: any case, any separators, look-alikes."""
    original = draw(written)
    typed = []
    for symbol in original.replace("-", ""):
        alike = {"0": "0Oo", "1": "1IiLl"}.get(symbol, symbol + symbol.lower())
        typed.append(draw(st.sampled_from(alike)) + draw(st.sampled_from(["", "", " ", "-", "\u2013", "\u00a0", "\n"])))
    return original, draw(st.sampled_from(["", " "])) + "".join(typed)


@given(numbers)
def test_a_number_is_readable_and_never_a_payment_card_number(number):
    assert NUMBER.match(number)
    assert codes.canonical_number(number) == number
    assert all(not group.isdigit() for group in number.split("-"))
    for text in (number, number.replace("-", ""), number.removeprefix("SCC-"), f"4 {number} 4111"):
        assert not contains_card_number(text)


@given(retyped(numbers))
def test_a_number_is_understood_however_it_is_typed(typed):
    number, text = typed
    assert codes.canonical_number(text) == number
    # without the prefix as well: its three symbols have no look-alikes
    assert codes.canonical_number("".join(c for c in text if c.isalnum())[3:]) == number


@given(st.text())
def test_any_text_is_a_canonical_number_or_nothing(text):
    found = codes.canonical_number(text)
    assert found == "" or NUMBER.match(found)


@given(numbers)
def test_a_masked_number_shows_its_last_four_only(number):
    assert codes.masked(number) == "SCC-****-****-" + number[-4:]


@given(claim_codes)
def test_a_claim_code_has_115_random_bits_and_a_check_symbol(code):
    assert CODE.match(code)
    symbols = code.replace("-", "")
    assert (len(symbols) - 1) * 5 >= 100
    assert base32.check_symbol(base32.decode(symbols[:-1])) == symbols[-1]
    assert not contains_card_number(code)
    assert not contains_card_number(symbols)


def test_every_bit_of_claim_codes_varies():
    values = [base32.decode(codes.new_claim_code().replace("-", "")[:-1]) for _ in range(400)]
    assert len(set(values)) == 400
    for bit in range(115):
        ones = sum(value >> bit & 1 for value in values)
        assert 100 < ones < 300, bit  # ten standard deviations


@given(retyped(claim_codes), numbers)
def test_a_code_is_right_however_it_is_typed(typed, number):
    code, text = typed
    assert codes.same_mac(codes.code_mac(PEPPER, number, text), codes.code_mac(PEPPER, number, code))


@given(claim_codes, st.integers(0, 23), st.sampled_from(base32.ALPHABET), numbers)
def test_a_code_with_one_wrong_symbol_is_wrong(code, position, symbol, number):
    symbols = code.replace("-", "")
    other = symbols[:position] + symbol + symbols[position + 1 :]
    same = codes.same_mac(codes.code_mac(PEPPER, number, other), codes.code_mac(PEPPER, number, code))
    assert same is (other == symbols)


@given(claim_codes, numbers, numbers)
def test_a_code_is_good_for_its_card_and_pepper_only(code, number, other):
    mac = codes.code_mac(PEPPER, number, code)
    assert (codes.code_mac(PEPPER, other, code) == mac) is (other == number)
    assert codes.code_mac(b"q" * 32, number, code) != mac
    assert re.fullmatch("[0-9a-f]{64}", mac)


@given(st.text())
def test_any_text_has_a_mac(text):
    assert len(codes.code_mac(PEPPER, "", text)) == 64
