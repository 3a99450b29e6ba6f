"""Every error of a catalogue file is found, with its line and its path."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
import yaml

from catalog.catalogue_file import read_file
from catalog.domain.catalogue import Problem, read_price
from catalog.use_cases.import_catalogue import demo_catalogue

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def problems(text: str, store_currency: str = "USD") -> list[Problem]:
    return read_file(text, store_currency=store_currency, now=NOW).problems


def replaced(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


# what stands in the file, what shall stand there instead; then the line, the path, and words of the message
MISTAKES = {
    "unknown field": ("    credits: 120", "    credit: 1\n    credits: 120", 16, "products.0.credit", "Unknown field"),
    "unknown field at the top": ("terms:", "colour: red\nterms:", 30, "colour", "Unknown field"),
    "missing field": ("    name: Box\n", "", 23, "products.1.name", "Missing data"),
    "missing list": (
        'terms:\n  - version: "2026-11"\n    published_at: 2026-11-01T00:00:00Z\n    text: Be kind.\n',
        "", 1, "terms", "Missing data"),
    "text for an integer": ("credits: 120", 'credits: "120"', 16, "products.0.credits", "Not a valid integer"),
    "float for an integer": ("credits: 120", "credits: 120.0", 16, "products.0.credits", "Not a valid integer"),
    "boolean for an integer": ("max_quantity: 10", "max_quantity: true", 17, "products.0.max_quantity", "integer"),
    "text for a boolean": ("default: true", 'default: "true"', 7, "categories.1.default", "Not a valid boolean"),
    "integer for a boolean": ("default: true", "default: 1", 7, "categories.1.default", "Not a valid boolean"),
    "integer for text": ("name: Pack", "name: 12", 12, "products.0.name", "Not a valid string"),
    "null for text": ("name: Pack", "name:", 12, "products.0.name", "may not be null"),
    "mapping for a list": (
        '      - {currency: USD, amount: "9.50"}', '      currency: USD\n      amount: "9.50"',
        28, "products.1.prices", "Not a valid list"),
    "word for an entry": ("  - slug: hardware\n    name: Hardware", "  - hardware\n  - slug: hardware\n    name: H",
                          8, "categories.2", "Invalid input type"),
    "control character": ("name: Pack", 'name: "Pa\\0ck"', 12, "products.0.name", "Control characters"),
    "control character in prose": ("text: Be kind.", 'text: "Be\\0"', 33, "terms.0.text", "Control characters"),
    "lone surrogate": ("name: Pack", 'name: "\\ud83d"', 12, "products.0.name", "Not a value"),
    "blank name": ("name: Pack", 'name: "  "', 12, "products.0.name", "Length"),
    "bad slug": ("    name: Hardware\n", "    name: Hardware\n  - slug: Two Words\n    name: Two\n",
                 10, "categories.3.slug", "small letters"),
    "bad SKU": ("sku: BOX", "sku: box", 23, "products.1.sku", "capitals"),
    "bad kind": ("kind: hardware", "kind: gift", 27, "products.1.kind", "Must be one of"),
    "doubled slug": ("    name: Hardware", "    name: A\n  - slug: hardware\n    name: B",
                     10, "categories.3.slug", "categories.2 already"),
    "doubled SKU": ("sku: BOX", "sku: PACK", 23, "products.1.sku", "products.0 already"),
    "doubled terms": ("    text: Be kind.\n", '    text: Be kind.\n  - version: "2026-11"\n    text: Be.\n'
                      "    published_at: 2026-10-01\n", 34, "terms.1.version", "terms.0 already"),
    "doubled key": ("    name: Box\n", "    name: Box\n    name: Bix\n", 25, "products.1.name", "first on line 24"),
    "unknown category": ("category: hardware", "category: toys", 26, "products.1.category", "no category 'toys'"),
    "unknown parent": ("parent: support", "parent: toys", 6, "categories.1.parent", "no category 'toys'"),
    "own parent": ("    name: Hardware\n", "    name: Hardware\n  - slug: a\n    name: A\n    parent: a\n",
                   12, "categories.3.parent", "two levels"),
    "tree of three levels": (
        "    name: Hardware\n",
        "    name: Hardware\n  - {slug: a, name: A}\n  - {slug: b, name: B, parent: a}\n"
        "  - {slug: c, name: C, parent: b}\n",
        12, "categories.5.parent", "two levels"),
    "product beside sub-categories": ("category: hardware", "category: support",
                                      26, "products.1.category", "has sub-categories"),
    "no default": ("    default: true\n", "", 1, "categories", "No category is the default"),
    "two defaults": ("    name: Hardware\n", "    name: Hardware\n    default: true\n",
                     10, "categories.2.default", "categories.1 is already"),
    "default that is no leaf": ("    name: Support\n", "    name: Support\n    default: true\n",
                                4, "categories.0.default", "cannot be the default"),
    "negative price": ('"240.00"', '"-240.00"', 20, "products.0.prices.0.amount", "more than zero"),
    "no price at all": ('"240.00"', '"0.00"', 20, "products.0.prices.0.amount", "more than zero"),
    "huge price": ('"240.00"', '"1000000.01"', 20, "products.0.prices.0.amount", "more than 1000000.00 USD"),
    "endless price": ('"240.00"', f'"{"9" * 30}.00"', 20, "products.0.prices.0.amount", "Longer than"),
    "float as money": ('"240.00"', "240.00", 20, "products.0.prices.0.amount", "in quotes"),
    "integer as money": ('"240.00"', "240", 20, "products.0.prices.0.amount", "in quotes"),
    "too many digits": ('"240.00"', '"240.001"', 20, "products.0.prices.0.amount", "2 digits"),
    "exponent": ('"240.00"', '"2.4e2"', 20, "products.0.prices.0.amount", "2 digits"),
    "doubled currency": ("currency: EUR", "currency: USD", 21, "products.0.prices.1.currency", "USD already"),
    "unknown currency": ("currency: EUR", "currency: XXX", 21, "products.0.prices.1.currency", "Must be one of"),
    "no price": ('      - {currency: USD, amount: "9.50"}', "      []", 28, "products.1.prices", "Shorter than"),
    "not in the store's currency": ("{currency: USD", "{currency: EUR", 28, "products.1.prices", "no price in USD"),
    "hardware with credits": ("kind: hardware", "kind: hardware\n    credits: 5", 28, "products.1.credits",
                              "no credits"),
    "licence with credits": ("kind: hardware", "kind: licence\n    credits: 5\n    needs_deployment: true",
                             28, "products.1.credits", "no credits"),
    "pack without credits": ("credits: 120", "credits: 0", 16, "products.0.credits", "must bring credits"),
    "negative credits": ("credits: 120", "credits: -1", 16, "products.0.credits", "greater than or equal to 0"),
    "huge credits": ("credits: 120", "credits: 1000001", 16, "products.0.credits", "less than or equal to"),
    "pack with a deployment": ("credits: 120", "credits: 120\n    needs_deployment: true",
                               17, "products.0.needs_deployment", "needs no deployment"),
    "licence without a deployment": ("kind: hardware", "kind: licence", 23, "products.1.needs_deployment",
                                     "needs a deployment"),
    "contract that needs a contract": (
        "kind: hardware", "kind: contract\n    needs_deployment: true\n    needs_contract: true",
        29, "products.1.needs_contract", "needs no contract"),
    "term of a pack": (
        "credits: 120", "credits: 120\n    term_months: 12", 17, "products.0.term_months", "has no term"),
    "term of none": ("kind: hardware", "kind: contract\n    needs_deployment: true\n    term_months: 0",
                     29, "products.1.term_months", "greater than or equal"),
    "validity of no credits": ("kind: hardware", "kind: hardware\n    credits_valid_days: 30",
                               28, "products.1.credits_valid_days", "brings no credits"),
    "quantity of none": ("max_quantity: 10", "max_quantity: 0", 17, "products.0.max_quantity", "greater than or equal"),
    "huge quantity": ("max_quantity: 10", "max_quantity: 1001", 17, "products.0.max_quantity", "less than or equal"),
    "no moment": ("2026-11-01T00:00:00Z", "soon", 32, "terms.0.published_at", "Not a valid"),
    "no terms in force": ("2026-11-01T00:00:00Z", "2027-01-01T00:00:00Z", 30, "terms", "in the future"),
    "alias": ("name: Pack\n    description: Credits.", "name: &a Pack\n    description: *a",
              13, "products.0.description", "aliases"),
    "tag": ("name: Pack", "name: !!python/object:os.system Pack", 12, "products.0.name", "tag"),
    "key that is no word": ("    credits: 120", "    [a, b]: 1\n    credits: 120", 16, "products.0", "must be a word"),
    "number too long to read": ("credits: 120", f"credits: {'9' * 5000}", 16, "products.0.credits", "Not a value"),
    "syntax": ("    kind: hardware", "    kind: [hardware", 28, "", "Not YAML"),
    "tab": ("    credits: 120", "\tcredits: 120", 16, "", "Not YAML"),
    "control character in the file": ("name: Pack", "name: Pa\x01ck", 12, "", "Not YAML"),
    "second document": ("terms:", "---\nterms:", 30, "", "another document"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_reported_once_with_its_line_and_path(sound: str, mistake: tuple[str, str, int, str, str]) -> None:
    old, new, line, path, words = mistake
    found = problems(replaced(sound, old, new))
    assert [(problem.line, problem.path) for problem in found] == [(line, path)]
    assert words in found[0].message


def test_a_sound_file_has_no_problem(sound: str) -> None:
    assert problems(sound) == []
    assert problems(demo_catalogue()) == []


def test_all_mistakes_are_reported_together(sound: str) -> None:
    text = sound
    for old, new in [("slug: hardware", "slug: hardware\n    colour: red"), ("credits: 120", "credits: many"),
                     ('"222.00"', "222.00"), ("sku: BOX", "sku: PACK"), ("category: hardware", "category: toys"),
                     ('{currency: USD, amount: "9.50"}', '{currency: USD, amount: "-1.00"}')]:  # fmt: skip
        text = replaced(text, old, new)
    assert {(problem.line, problem.path) for problem in problems(text)} == {
        (9, "categories.2.colour"), (17, "products.0.credits"), (23, "products.0.prices.1.amount"),
        (24, "products.1.sku"), (27, "products.1.category"), (30, "products.1.prices.0.amount"),
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "\n# nothing\n", "[]", "catalogue", "null", "[" * 5000, "&a [*a]", "%", "\ufffe"])
def test_what_is_no_catalogue_is_a_problem_and_not_a_crash(text: str) -> None:
    assert problems(text)


def test_aliases_cannot_blow_up() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
    assert len([problem for problem in problems(bomb) if "aliases" in problem.message]) == 2 * 59


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_json_is_read_like_yaml(sound: str, indent: str | int | None) -> None:
    values = yaml.safe_load(sound)
    values["terms"][0]["published_at"] = "2026-11-01T00:00:00Z"
    values["products"][0]["name"] = 'Päck \U0001f4a1 "\\ud83d\\udca1" a\\/b\tc'.replace("\t", " ")
    file = read_file(json.dumps(values, indent=indent), store_currency="USD", now=NOW)
    assert file.problems == []
    assert file.data["products"][0]["name"] == values["products"][0]["name"]


def test_a_mistake_in_json_has_its_line_too() -> None:
    text = '{\n\t"categories":\t[],\n\t"products": [\n\t\t{"sku": 5}\n\t],\n\t"terms": []\n}'
    assert {(4, "products.0.sku"), (2, "categories"), (6, "terms")} <= {(p.line, p.path) for p in problems(text)}


def test_the_store_may_have_another_currency(sound: str) -> None:
    assert [problem.path for problem in problems(sound, "EUR")] == ["products.1.prices"]


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [("0.01", "USD", 1), ("240.00", "USD", 24000), ("1000000.00", "EUR", 100_000_000), ("240", "JPY", 240),
     ("1.500", "KWD", 1500)],
)  # fmt: skip
def test_prices_are_read_exactly(amount: str, currency: str, minor: int) -> None:
    assert read_price(amount, currency).amount_minor == minor


@pytest.mark.parametrize("amount", ["", "240.0", "24,00", " 240.00", "240.00 ", "+240.00", "NaN", "٢٤٠.٠٠", "240.00\n"])
def test_a_price_has_one_way_to_be_written(amount: str) -> None:
    with pytest.raises(ValueError, match="digits after the point"):
        read_price(amount, "USD")
