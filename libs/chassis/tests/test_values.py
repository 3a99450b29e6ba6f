"""Identity, sealing, settings, messages and logs."""

from __future__ import annotations

import io
import json
import logging
import time
from typing import Any

import pytest
from marshmallow import fields

from chassis import context
from chassis.identity import LIFETIME_S, IdentitySigner, IdentityVerifier, public_key_of
from chassis.messages import (
    PlainString,
    RequestSchema,
    StrictInteger,
    UtcDateTime,
    dump_checked,
    field_errors,
    load_request,
    money,
)
from chassis.observability.logs import configure
from chassis.sealing import Opener, Sealer, new_key
from chassis.settings import Environment, SettingsError
from chassis.testing import identity
from kernel.clock import CLOCKS_DIFFER
from kernel.errors import Kind, Refusal


def test_a_statement_is_believed_until_it_expires() -> None:
    key = new_key()
    signer, verifier = IdentitySigner(key), IdentityVerifier(public_key_of(key))
    assert verifier.verify(signer.sign(identity())) == identity()
    old = signer.sign(identity(), time.time() - LIFETIME_S - CLOCKS_DIFFER.total_seconds() - 5)
    for token in (old, None, "", "AAAA", IdentitySigner(new_key()).sign(identity())):
        with pytest.raises(Refusal) as caught:
            verifier.verify(token)
        assert caught.value.kind is Kind.UNAUTHENTICATED


def test_roles() -> None:
    assert identity(role="buyer").require("buyer", "admin").role == "buyer"
    with pytest.raises(Refusal) as caught:
        identity(role="viewer").require("buyer")
    assert caught.value.kind is Kind.FORBIDDEN


def test_only_the_owner_opens_what_was_sealed() -> None:
    opener = Opener(new_key())
    sealed = Sealer(opener.public_key).seal("ABC-123")
    assert opener.open(sealed) == "ABC-123"
    assert Sealer(opener.public_key).seal("ABC-123") != sealed
    for wrong in (
        lambda: Opener(new_key()).open(sealed),
        lambda: opener.open("AAAA"),
        lambda: opener.open("no base64!"),
    ):
        with pytest.raises(ValueError, match="not sealed"):
            wrong()


def test_every_problem_of_the_environment_is_named_at_once() -> None:
    environment = Environment({"NUMBER": "x", "KEY": "00" * 32, "SHORT": "abc"})
    environment.text("MISSING")
    environment.integer("NUMBER", 1)
    environment.key("KEY")
    environment.key("SHORT")
    with pytest.raises(SettingsError) as caught:
        environment.check()
    for name in ("MISSING", "NUMBER", "KEY", "SHORT"):
        assert name in str(caught.value)


class Line(RequestSchema):
    quantity = StrictInteger(required=True)
    name = PlainString(max_length=5)
    price = money()
    at = UtcDateTime()


@pytest.mark.parametrize("quantity", ["3", 3.0, True, None, [], {}])
def test_numbers_are_not_guessed(quantity: Any) -> None:
    with pytest.raises(Refusal) as caught:
        load_request(Line(), {"quantity": quantity})
    assert caught.value.errors[0]["field"] == "quantity"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "a\nb"),
        ("name", "a\x00"),
        ("name", "a\ud800"),
        ("name", "toolong"),
        ("name", ""),
        ("price", {"amount_minor": 1.5, "currency": "USD"}),
        ("price", {"amount_minor": 1, "currency": "XXX"}),
        ("more", 1),
        ("at", "2026-13-01T00:00:00Z"),
    ],
)
def test_what_is_wrong_is_named(field: str, value: Any) -> None:
    with pytest.raises(Refusal) as caught:
        load_request(Line(), {"quantity": 1, field: value})
    assert caught.value.errors[0]["field"].split(".")[0] == field


def test_text_is_trimmed_and_moments_are_utc() -> None:
    loaded = load_request(Line(), {"quantity": 1, "name": " ab ", "at": "2026-11-22T13:00:00+01:00"})
    assert loaded["name"] == "ab"
    assert dump_checked(Line(), loaded)["at"] == "2026-11-22T12:00:00.000Z"


def test_nested_errors_have_paths() -> None:
    class Order(RequestSchema):
        lines = fields.List(fields.Nested(Line))

    problems = Order().validate({"lines": [{"quantity": 1}, {"quantity": "x"}]})
    assert [error["field"] for error in field_errors(problems)] == ["lines.1.quantity"]


def test_a_log_line_is_one_json_object_with_the_correlation_id(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure("tests")
        with context.entered(context.RequestContext("cor_1")):
            logging.getLogger("x").warning("two\nlines %s", "é")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    (line,) = stream.getvalue().splitlines()
    written = json.loads(line)
    assert (written["service"], written["correlation_id"], written["level"]) == ("tests", "cor_1", "WARNING")
    assert written["message"] == "two\nlines é"
