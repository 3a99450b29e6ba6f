"""A claim code exists in the buyer's mail and in memory, nowhere else."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path

import pytest
import sqlalchemy as sa

from credits.storage.tables import METADATA
from credits.use_cases.claim_card import claim_card
from kernel import base32
from kernel.errors import Refusal


def spellings(code: str) -> set[str]:
    """What would let somebody find the code with grep."""
    symbols = base32.normalise(code)
    forms = {code, symbols, code.replace("-", " "), *code.split("-")}
    return forms | {form.lower() for form in forms}


def everything(desk) -> str:
    """Every value of every table, also those that are not in our metadata."""
    names = sa.inspect(desk.database.engine).get_table_names()
    assert set(METADATA.tables) < set(names)
    with desk.database.reading() as reader:
        return "\n".join(repr(row) for name in names for row in reader.execute(sa.text(f'SELECT * FROM "{name}"')))


def test_no_table_log_or_exception_has_a_claim_code(desk, caplog):
    caplog.set_level(logging.DEBUG)
    _, number, code = desk.buy_card()
    _, other_number, other_code = desk.buy_card(order_id="ord_2")
    text = []
    for shown, typed in ((number, other_code), (code, code), (other_number, code)):
        with pytest.raises(Refusal) as refused:
            desk.claim(shown, typed)
        text += traceback.format_exception(refused.value)
    desk.preview(number, code)
    reply = desk.claim(number, code, key="k")
    again = desk.claim(number, code, key="k")
    text += [repr(reply), repr(again), repr(desk.app), caplog.text, everything(desk)]
    written = "\n".join(text)
    assert number in written  # the dump is one: what is public is there
    for secret in spellings(code) | spellings(other_code):
        assert secret not in written


def test_the_database_files_have_no_claim_code(sqlite_desk):
    _, number, code = sqlite_desk.buy_card()
    sqlite_desk.claim(number, code)
    folder = sqlite_desk.database.url.database.rsplit("/", 1)[0]
    content = b"".join(path.read_bytes() for path in sorted(Path(folder).glob("credits.db*")))
    assert number.encode() in content
    for secret in spellings(code):
        assert secret.encode() not in content


def test_a_failing_statement_does_not_show_what_was_written(desk, line, monkeypatch):
    """Even a defect in the middle of issuing leaves no code in its traceback, and half an order leaves nothing."""
    drawn = []

    def draw() -> str:
        drawn.append("ABCDEF-GHJKMN-PQRSTV-WXYZ0" + str(len(drawn)))
        return drawn[-1]

    monkeypatch.setattr("credits.domain.codes.new_claim_code", draw)
    monkeypatch.setattr("credits.domain.codes.new_number", lambda: "SCC-AAAA-AAAA-AAAA")
    with pytest.raises(sa.exc.IntegrityError) as failed:
        desk.pay(line("lin_a", quantity=2, to="support_card"))
    text = "".join(traceback.format_exception(failed.value))
    assert "support_card" in text
    assert len(drawn) == 2
    for secret in spellings(drawn[0]) | spellings(drawn[1]):
        assert secret not in text
    assert desk.dump(METADATA.tables["support_card"], METADATA.tables["outbox"]) == {"support_card": [], "outbox": []}


def test_what_is_kept_under_a_key_cannot_be_claimed_with(desk):
    """The request's hash, the answer, the MAC: none of them is a claim code."""
    _, number, code = desk.buy_card()
    _, other, _ = desk.buy_card(order_id="ord_2")
    desk.claim(number, code, key="k")
    with desk.database.reading() as reader:
        kept = [*reader.one(sa.select(METADATA.tables["idempotency_key"])).values()]
        kept += reader.execute(sa.select(METADATA.tables["support_card"].c.code_mac)).scalars()
    for value in kept:
        with pytest.raises(Refusal) as refused:
            claim_card(
                desk.app,
                desk.bolt,
                idempotency_key="x",
                number=other,
                sealed_code=desk.gateway.seal(str(value)),
                client_address="192.0.2.7",
            )
        assert refused.value.code == "card_not_claimable"
