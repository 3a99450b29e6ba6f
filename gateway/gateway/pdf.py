"""Invoices, credit notes and quotes as PDF, drawn from the same JSON that clients get.

The letters are those of Open Sans (Latin, Greek, Cyrillic), then of whatever fonts the gateway is given for the rest of
the world (`GATEWAY_PDF_FONTS`). What has no letter in any of them is printed as a question mark, so that no name keeps
anybody from a document; so is what is written from right to left, which needs more than letters. The same document is
the same bytes, whenever it is asked for.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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

    def texts(self) -> Iterator[str]:
        """All that stands on it."""
        yield from (self.title, *self.issuer, *self.recipient, *self.head, *self.notes)
        for pair in (*self.facts, *self.sums, *self.rows):
            yield from pair

    def written(self, write: Callable[[str], str]) -> Paper:
        """The same with every text as `write` makes it."""

        def pairs(found: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
            return [(write(name), write(value)) for name, value in found]

        return replace(
            self, title=write(self.title), issuer=list(map(write, self.issuer)),
            recipient=list(map(write, self.recipient)), facts=pairs(self.facts), sums=pairs(self.sums),
            head=list(map(write, self.head)),
            rows=[["\n".join(map(write, text.split("\n"))) for text in row] for row in self.rows],
            notes=list(map(write, self.notes)),
        )  # fmt: skip


def invoice(data: Mapping[str, Any], fonts: Sequence[str] = ()) -> bytes:
    """An invoice as a PDF.

    Args:
        data: what ``payments.get_invoice`` replies.
        fonts: TrueType files for letters that Open Sans does not have, the first one that has a letter first.
    """
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
        ),
        fonts,
    )  # fmt: skip


def credit_note(data: Mapping[str, Any], fonts: Sequence[str] = ()) -> bytes:
    """A credit note as a PDF, from one of an invoice; `fonts` as for it."""
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
        ),
        fonts,
    )  # fmt: skip


def quote(data: Mapping[str, Any], fonts: Sequence[str] = ()) -> bytes:
    """A quote as a PDF, from what ``cart.get_order`` replies with its `issuer` and `organization`; `fonts` as above."""
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
        ),
        fonts,
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


def _draw(paper: Paper, fonts: Sequence[str]) -> bytes:
    from fpdf import FPDF  # not before somebody wants a PDF: it takes a while

    letters = _own_letters()
    needed = {ord(mark) for text in paper.texts() for mark in text if not mark.isspace()} - letters
    if not needed:
        fonts = ()  # a font of many letters takes a second to read
    letters = letters.union(*map(_letters_of, fonts))
    paper = paper.written(lambda text: _printable(text, letters))
    pdf = FPDF(format="A4")
    for style, name in _FACES.items():
        pdf.add_font(_FAMILY, style, str(_font(name)))
    for number, path in enumerate(fonts):
        pdf.add_font(f"fallback{number}", "", path)
    pdf.set_fallback_fonts([f"fallback{number}" for number in range(len(fonts))], exact_match=False)
    pdf.set_creation_date(paper.written_at)
    pdf.set_title(paper.title)
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
        pdf.cell(48, _LINE, name)
        pdf.set_text_color(0)
        pdf.multi_cell(0, _LINE, value, new_x="LMARGIN", new_y="NEXT")
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
                row.cell(text)
    pdf.ln(2)


def _total(pdf: FPDF, sums: Sequence[tuple[str, str]]) -> None:
    for position, (name, value) in enumerate(sums):
        pdf.set_font(_FAMILY, "B" if position == len(sums) - 1 else "", 10)
        pdf.cell(pdf.epw - 40, 6, name, align="R")
        pdf.cell(40, 6, value, align="R", new_x="LMARGIN", new_y="NEXT")


def _lines(
    pdf: FPDF, lines: Iterable[str], style: str, size: int, *, height: float = _LINE, grey: bool = False
) -> None:
    pdf.set_font(_FAMILY, style, size)
    pdf.set_text_color(*(_GREY if grey else (0, 0, 0)))
    for line in lines:
        pdf.multi_cell(0, height, line, new_x="LMARGIN", new_y="NEXT")
    pdf.set_text_color(0)


@cache
def _font(name: str) -> Any:
    return files("ttf_opensans") / "ttf" / name


@cache
def _own_letters() -> frozenset[int]:
    """The letters that every face of the document's own family has."""
    return frozenset.intersection(*(_letters_of(str(_font(name))) for name in _FACES.values()))


@cache
def _letters_of(path: str) -> frozenset[int]:
    """The letters that a font has."""
    from fontTools.ttLib import TTFont

    with TTFont(path, lazy=True) as face:
        return frozenset(face.getBestCmap())


#: Of letters that are written from right to left (Unicode, UAX 9).
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})


def _printable(text: str, letters: frozenset[int]) -> str:
    """The text with a question mark for what cannot be printed, and a blank for what makes no mark."""
    return "".join(" " if mark.isspace() else mark if _has(letters, mark) else "?" for mark in text)


def _has(letters: frozenset[int], mark: str) -> bool:
    return (
        ord(mark) in letters and mark.isprintable() and unicodedata.bidirectional(mark) not in _RIGHT_TO_LEFT
    )  # fmt: skip
