"""Invoices, credit notes and quotes as PDF, drawn from the same JSON that clients get.

The letters are those of Open Sans (Latin, Greek, Cyrillic); what it has no letter for is printed as a question mark, so
that no name keeps anybody from a document. The same document is the same bytes, whenever it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from kernel.money import Money

if TYPE_CHECKING:
    from fpdf import FPDF

_FAMILY = "opensans"
_FACES = {"": "OpenSans-Regular.ttf", "B": "OpenSans-Bold.ttf"}
_GREY, _LINE = (75, 85, 99), 5.0
_BRANDS = {"visa": "Visa", "mastercard": "Mastercard", "amex": "American Express", "discover": "Discover"}


@dataclass(frozen=True, slots=True)
class Paper:
    """What stands on a document, from top to bottom.

    Args:
        title: what it is, with its number.
        issuer: who sells, line by line.
        recipient: whom it is for, line by line.
        facts: what one must know of it, by name.
        head: the names of the columns; empty if there is no table.
        rows: the lines of the table.
        sums: below it, the last one in bold.
        notes: at the end.
        written_at: its date.
    """

    title: str
    issuer: Sequence[str]
    recipient: Sequence[str]
    facts: Sequence[tuple[str, str]]
    sums: Sequence[tuple[str, str]]
    written_at: datetime
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = field(default_factory=tuple)
    notes: Sequence[str] = ()


def invoice(data: Mapping[str, Any]) -> bytes:
    """An invoice as a PDF, from what ``payments.get_invoice`` replies."""
    payment = data["payment"]
    facts = [
        ("Invoice number", data["number"]),
        ("Date", _day(data["issued_at"])),
        *([("Supplied on", _day(data["supplied_on"]))] if data.get("supplied_on") else []),
        ("Order", data["order"]["number"]),
        *_reference(data),
        *([("Payment reference", payment["reference"])] if payment.get("reference") else []),
        *([("Due on", _day(payment["due_on"]))] if payment.get("due_on") and data["state"] == "open" else []),
        ("State", _state(data)),
        ("Payment", _paid_with(payment)),
    ]
    notes = [f"Terms and conditions: version {data['terms_version']}.", *_exemption(data)]
    notes += [
        f"Credit note {note['number']} of {_day(note['issued_at'])}: {_money(note['totals']['total'])}."
        for note in data["credit_notes"]
    ]
    return _draw(
        Paper(
            f"{'VOID ' if data['state'] == 'void' else ''}Invoice {data['number']}",
            _issuer(data["issuer"]), _recipient(data), facts, _sums(data), datetime.fromisoformat(data["issued_at"]),
            _HEAD, _rows(data["lines"]), notes,
        )
    )  # fmt: skip


def credit_note(data: Mapping[str, Any]) -> bytes:
    """A credit note as a PDF, from one of an invoice."""
    facts = [
        ("Credit note number", data["number"]),
        ("Date", _day(data["issued_at"])),
        ("Credits invoice", data["invoice_number"]),
        ("Order", data["order"]["number"]),
        *_reference(data),
    ]
    return _draw(
        Paper(
            f"Credit note {data['number']}", _issuer(data["issuer"]), _recipient(data), facts, _sums(data),
            datetime.fromisoformat(data["issued_at"]), notes=_exemption(data),
        )
    )  # fmt: skip


def quote(data: Mapping[str, Any]) -> bytes:
    """A quote as a PDF, from what ``cart.get_order`` replies with its `issuer` and `organization`."""
    shown = data["quote"]
    facts = [
        ("Quote number", data["number"]),
        ("Date", _day(data["placed_at"])),
        ("Good until", f"{_day(shown['last_day'])}, end of the day ({shown['time_zone']})"),
        *_reference({"purchase_order_number": (data["purchase_order"] or {}).get("number")}),
        ("State", data["state"]),
    ]
    notes = [f"Terms and conditions: version {data['terms_version']}.", *_exemption(data)]
    return _draw(
        Paper(
            f"Quote {data['number']}", _issuer(data["issuer"]), _recipient(data), facts, _sums(data),
            datetime.fromisoformat(data["placed_at"]), _HEAD, _rows(data["lines"]), notes,
        )
    )  # fmt: skip


# --- what is written ---

_HEAD = ("Item", "Quantity", "Price", "Tax", "Total")


def _issuer(issuer: Mapping[str, str]) -> list[str]:
    tax_number = [f"Tax number: {issuer['tax_number']}"] if issuer["tax_number"] else []
    return [issuer["name"], *issuer["address"].splitlines(), *tax_number]


def _recipient(data: Mapping[str, Any]) -> list[str]:
    address = data.get("billing_address")
    if address is None:
        return [data["organization"]["name"]]
    place = " ".join(part for part in (address["city"], address["state"], address["zip"]) if part)
    lines = (
        address["company"] or data["organization"]["name"], address["name"], *address["address"].splitlines(),
        address["address_2"], place, address["country"],
    )  # fmt: skip
    return [line for line in lines if line]


def _reference(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    number = data.get("purchase_order_number")
    return [("Purchase order number", number)] if number else []


def _rows(lines: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for line in lines:
        below = f"\nFor deployment {line['deployment_id']}" if line.get("deployment_id") else ""
        tax = _money(line["tax"]) if line.get("tax") else ""
        name = f"{line['name']}\n{line['sku']}{below}"
        rows.append((name, str(line["quantity"]), _money(line["unit_price"]), tax, _money(line["total"])))
    return rows


def _sums(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    tax, totals = data.get("tax"), data["totals"]
    name = f"{tax['name']} {tax['rate_percent']} %" if tax else "Tax"
    return [
        ("Subtotal", _money(totals["subtotal"])),
        (name, _money(totals["tax"])),
        ("Total", _money(totals["total"])),
    ]


def _exemption(data: Mapping[str, Any]) -> list[str]:
    tax = data.get("tax")
    return [f"Exempt from {tax['name']}, certificate {tax['certificate']}."] if tax and tax.get("certificate") else []


def _state(data: Mapping[str, Any]) -> str:
    if data["state"] == "paid":
        return f"paid on {_day(data['paid_at'])}"
    return f"void since {_day(data['voided_at'])}" if data["state"] == "void" else "to be paid"


def _paid_with(payment: Mapping[str, Any]) -> str:
    card = payment.get("card")
    return (
        f"{_BRANDS.get(card['brand'], card['brand'].title())} ending in {card['last4']}" if card else payment["method"]
    )


def _money(value: Mapping[str, Any]) -> str:
    return str(Money(value["amount_minor"], value["currency"]))


def _day(moment: str) -> str:
    day = date.fromisoformat(moment[:10])
    return f"{day.day} {day:%B %Y}"


# --- how it is drawn ---


def _draw(paper: Paper) -> bytes:
    from fpdf import FPDF  # not before somebody wants a PDF: it takes a while

    pdf = FPDF(format="A4")
    for style, name in _FACES.items():
        pdf.add_font(_FAMILY, style, str(_font(name)))
    pdf.set_creation_date(paper.written_at)
    pdf.set_title(_printable(paper.title))
    pdf.set_margins(18, 18)
    pdf.set_auto_page_break(auto=True, margin=18)
    pdf.add_page()
    _lines(pdf, paper.issuer[:1], "B", 11)
    _lines(pdf, paper.issuer[1:], "", 9, grey=True)
    pdf.ln(8)
    _lines(pdf, [paper.title], "B", 16, height=9)
    pdf.ln(3)
    _lines(pdf, paper.recipient, "", 10)
    pdf.ln(4)
    for name, value in paper.facts:
        pdf.set_font(_FAMILY, "", 9)
        pdf.set_text_color(*_GREY)
        pdf.cell(48, _LINE, _printable(name))
        pdf.set_text_color(0)
        pdf.multi_cell(0, _LINE, _printable(value), new_x="LMARGIN", new_y="NEXT")
    pdf.ln(5)
    if paper.head:
        _table(pdf, paper)
    _total(pdf, paper.sums)
    pdf.ln(6)
    _lines(pdf, paper.notes, "", 9, grey=True)
    return bytes(pdf.output())


def _table(pdf: FPDF, paper: Paper) -> None:
    pdf.set_font(_FAMILY, "", 9)
    align = ("LEFT", "RIGHT", "RIGHT", "RIGHT", "RIGHT")
    widths = (70, 20, 28, 24, 32)
    with pdf.table(
        borders_layout="HORIZONTAL_LINES", col_widths=widths, text_align=align, line_height=_LINE, padding=1
    ) as table:
        for texts in (paper.head, *paper.rows):
            row = table.row()
            for text in texts:
                row.cell(_printable(text, keep="\n"))
    pdf.ln(2)


def _total(pdf: FPDF, sums: Sequence[tuple[str, str]]) -> None:
    for position, (name, value) in enumerate(sums):
        pdf.set_font(_FAMILY, "B" if position == len(sums) - 1 else "", 10)
        pdf.cell(pdf.epw - 40, 6, _printable(name), align="R")
        pdf.cell(40, 6, _printable(value), align="R", new_x="LMARGIN", new_y="NEXT")


def _lines(
    pdf: FPDF, lines: Iterable[str], style: str, size: int, *, height: float = _LINE, grey: bool = False
) -> None:
    pdf.set_font(_FAMILY, style, size)
    pdf.set_text_color(*(_GREY if grey else (0, 0, 0)))
    for line in lines:
        pdf.multi_cell(0, height, _printable(line), new_x="LMARGIN", new_y="NEXT")
    pdf.set_text_color(0)


@cache
def _font(name: str) -> Any:
    return files("ttf_opensans") / "ttf" / name


@cache
def _letters() -> frozenset[int]:
    """The letters that every face has."""
    from fontTools.ttLib import TTFont

    faces = []
    for name in _FACES.values():
        with TTFont(str(_font(name)), lazy=True) as face:
            faces.append(set(face.getBestCmap()))
    return frozenset(set.intersection(*faces))


def _printable(text: str, keep: str = "") -> str:
    """The text with a question mark for what there is no letter for, and a blank for what makes no mark."""
    letters = _letters()
    return "".join(
        mark
        if mark in keep
        else " "
        if mark.isspace()
        else mark
        if ord(mark) in letters and mark.isprintable()
        else "?"
        for mark in text
    )
