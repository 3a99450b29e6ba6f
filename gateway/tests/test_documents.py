"""Invoices, credit notes and quotes over HTTP: as JSON, and as PDFs that say the same."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from gateway_fakes import CREDIT_NOTE, INVOICE, INVOICE_IN_SHORT, ISSUER, QUOTE, Check, FakeRpc, Send, page_of
from pypdf import PdfReader

from gateway import pdf
from kernel.errors import not_found

PDF = {"Accept": "application/pdf"}
PATHS = ("/v1/orders/ord_1/invoice", "/v1/orders/ord_1/credit-notes/CN-000001", "/v1/orders/ord_q/quote")


SHOWN_QUOTE = {**QUOTE, "support_cards": [], "issuer": ISSUER, "organization": {"id": "org_acme", "name": "Acme"}}


def text_of(content: bytes) -> str:
    pages = PdfReader(io.BytesIO(content)).pages
    return re.sub(r"\s+", " ", " ".join(page.extract_text() for page in pages))


@pytest.mark.parametrize(
    ("path", "shown"),
    list(zip(PATHS, (INVOICE, CREDIT_NOTE, SHOWN_QUOTE), strict=True)),
)
@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "text/html", "application/json, application/pdf"])
def test_json_unless_a_pdf_is_wanted(
    send: Send, documented: Check, path: str, shown: dict[str, Any], accept: str | None
) -> None:
    answer = send("GET", path, headers={"Accept": accept} if accept else {})
    documented("GET", path, answer)
    assert (answer.status_code, answer.json) == (200, shown)
    assert answer.headers["Vary"] == "Accept"


@pytest.mark.parametrize(
    ("path", "name", "said"),
    [
        (PATHS[0], "INV-000007",
         ("Invoice INV-000007", "Punchcard", "1 Store Street", "Tax number: GB 1", "Acme", "Ada Buyer", "Floor 2",
          "Albany NY 12207", "22 November 2026", "PC-1", "PO-77", "paid on 22 November 2026", "Visa ending in 4242",
          "120 credits HOURLY-120", "120.00 USD", "Sales tax 8.875 % 10.65 USD", "Total 130.65 USD", "version 2026-11",
          "Credit note CN-000001 of 22 November 2026: 1.09 USD")),
        (PATHS[1], "CN-000001",
         ("Credit note CN-000001", "Credits invoice INV-000007", "Total 1.09 USD", "PO-77")),
        (PATHS[2], "PQ-1",
         ("Quote PQ-1", "22 December 2026, end of the day (UTC)", "Punchcard", "Acme", "open", "PO-77")),
    ],
)  # fmt: skip
def test_a_pdf_says_what_the_json_says(send: Send, path: str, name: str, said: tuple[str, ...]) -> None:
    answer = send("GET", path, headers=PDF)
    assert (answer.status_code, answer.mimetype) == (200, "application/pdf")
    assert answer.headers["Content-Disposition"] == f'inline; filename="{name}.pdf"'
    found = text_of(answer.data)
    for words in said:
        assert words in found


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(("JPY", 1234567), "1234567 JPY"), (("KWD", 1234567), "1234.567 KWD"), (("USD", 1234567), "12345.67 USD")],
)
def test_currencies_have_their_digits(amount: tuple[str, int], shown: str) -> None:
    money = {"amount_minor": amount[1], "currency": amount[0]}
    totals = {"subtotal": money, "tax": {**money, "amount_minor": 0}, "total": money}
    line = {**INVOICE["lines"][0], "unit_price": money, "total": money, "tax": {**money, "amount_minor": 0}}
    assert text_of(pdf.invoice({**INVOICE, "lines": [line], "totals": totals})).count(shown) >= 4


@pytest.mark.parametrize(
    ("name", "shown"),
    [("Łukasz Żółć", "Łukasz Żółć"), ("Ελλάς", "Ελλάς"), ("Дмитрий", "Дмитрий"), ("株式会社", "????"),
     ("\U0001f600 Ltd", "? Ltd"), ("שלום", "????"), ("a\u0000b\u202ec", "a?b?c"), ("line\none", "line one")],
)  # fmt: skip
def test_no_name_keeps_anybody_from_an_invoice(name: str, shown: str) -> None:
    data = {**INVOICE, "organization": {"id": "org_1", "name": name}, "billing_address": None}
    content = pdf.invoice(data)
    assert content.startswith(b"%PDF-")
    if "?" not in shown or name.isascii() or "Ltd" in shown:
        assert shown in text_of(content)


@pytest.fixture(scope="module")
def kanji(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A font with three letters that Open Sans does not have, one of them Hebrew."""
    letters = {ord("株"): "one", ord("式"): "two", ord("ש"): "three"}
    names = [".notdef", *letters.values()]
    pen = TTGlyphPen(None)
    for move, point in ((pen.moveTo, (0, 0)), (pen.lineTo, (0, 500)), (pen.lineTo, (500, 500))):
        move(point)
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap(letters)
    builder.setupGlyf(dict.fromkeys(names, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (600, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Three", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    path = tmp_path_factory.mktemp("fonts") / "three.ttf"
    builder.save(path)
    return str(path)


def test_letters_of_other_fonts_are_printed_where_they_are_given(kanji: str) -> None:
    data = {**INVOICE, "organization": {"id": "org_1", "name": "株式会 ש Ltd"}, "billing_address": None}
    found = text_of(pdf.invoice(data, [kanji]))
    assert "株式? ? Ltd" in found  # what no font has, and what is written from right to left
    assert "? Ltd" in text_of(pdf.invoice(data))
    assert pdf.invoice(INVOICE, [kanji]) == pdf.invoice(INVOICE)  # not even read where nobody needs it


def test_a_long_invoice_goes_on_on_the_next_page() -> None:
    lines = [{**INVOICE["lines"][0], "name": f"A thing with a long name {number} " * 4} for number in range(100)]
    content = pdf.invoice({**INVOICE, "lines": lines})
    assert len(PdfReader(io.BytesIO(content)).pages) > 3
    assert "long name 99" in text_of(content)


def test_the_same_invoice_is_the_same_file() -> None:
    assert pdf.invoice(INVOICE) == pdf.invoice(INVOICE)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"state": "open", "paid_at": None, "payment": {**INVOICE["payment"], "card": None, "method": "wire",
                                                         "reference": "RF84", "due_on": "2026-12-06"}},
         ("to be paid", "RF84", "Due on 6 December 2026", "wire")),
        ({"state": "void", "paid_at": None, "voided_at": "2026-11-30T00:00:00.000Z"},
         ("VOID Invoice", "void since 30 November 2026")),
        ({"supplied_on": "2026-10-01"}, ("Date 22 November 2026 Supplied on 1 October 2026",)),
        ({"tax": {"name": "VAT", "rate_percent": "0", "certificate": "C-1"}}, ("Exempt from VAT, certificate C-1.",)),
        ({"tax": None, "purchase_order_number": None}, ("Tax 10.65 USD",)),
    ],
)  # fmt: skip
def test_invoices_of_other_kinds(changes: dict[str, Any], said: tuple[str, ...]) -> None:
    found = text_of(pdf.invoice({**INVOICE, **changes}))
    for words in said:
        assert words in found


def test_what_is_not_there(send: Send, rpc: FakeRpc) -> None:
    for path in ("/v1/orders/ord_1/quote", "/v1/orders/ord_1/credit-notes/CN-000002"):
        for headers in ({}, PDF):
            answer = send("GET", path, headers=headers)
            assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    rpc.replies["payments.get_invoice"] = not_found("invoice")
    assert send("GET", "/v1/orders/ord_1/invoice", headers=PDF).status_code == 404


@pytest.mark.parametrize(
    ("path", "method"), [("/v1/invoices", "list_invoices"), ("/v1/admin/invoices", "search_invoices")]
)
def test_documents_are_listed_by_days_and_as_a_file(
    send: Send, rpc: FakeRpc, documented: Check, path: str, method: str
) -> None:
    asked = f"{path}?from=2026-11-01&to=2026-11-30&state=paid"
    wanted = {"since": "2026-11-01T00:00:00.000Z", "until": "2026-12-01T00:00:00.000Z", "state": "paid"}
    rpc.replies[f"payments.{method}"] = lambda data: page_of(INVOICE_IN_SHORT, None if "cursor" in data else "c1")
    answer = send("GET", asked)
    documented("GET", asked, answer)
    assert rpc.last(f"payments.{method}").data == {**wanted, "limit": 20}
    following = answer.headers["Link"].partition(">")[0].removeprefix("<")
    assert send("GET", following).status_code == 200
    assert rpc.last(f"payments.{method}").data == {**wanted, "limit": 20, "cursor": "c1"}
    answer = send("GET", asked, headers={"Accept": "text/csv"})
    assert answer.headers["Content-Disposition"] == 'attachment; filename="invoices.csv"'
    rows = list(csv.DictReader(answer.text.splitlines()))
    assert [row["number"] for row in rows] == ["INV-000007"] * 2
    assert (rows[0]["totals.total.amount_minor"], rows[0]["totals.total.currency"], rows[0]["invoice_number"]) == (
        "13065", "USD", "",
    )  # fmt: skip
    assert send("GET", f"{path}?from=2026-12-01&to=2026-11-30").status_code == 422
