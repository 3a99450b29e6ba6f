"""The provider's HTTP API."""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify, render_template_string, request
from marshmallow import Schema, ValidationError
from werkzeug.exceptions import HTTPException

from chassis.messages import field_errors
from kernel.card_numbers import brand_of
from kernel.clock import Clock
from kernel.money import Money
from payments.offline_provider.book import Book, CardRefusedError, ChallengeOverError, KeyReusedError, KeyVoidedError
from payments.offline_provider.cards import REFUSALS, TEST_CARDS, Behaviour
from payments.offline_provider.disputes import LOST, DisputeOverError, Disputes, NotDisputableError
from payments.offline_provider.messages import (
    CardRequest,
    ChargeRequest,
    DisputeDecision,
    DisputeRequest,
    EvidenceRequest,
    RefundRequest,
    TokenRequest,
    VoidRequest,
    digits_of,
)
from payments.offline_provider.webhooks import Courier, Target

_MAX_BODY_BYTES = 16 * 1024
_LONGEST_KEY = 255
_CHANGES_AT_ONCE = 100
#: Nothing is loaded from elsewhere, and looking at it does nothing: a link may be opened by any scanner.
_CHALLENGE_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Confirm your payment</title>
<meta name="viewport" content="width=device-width"></head>
<body><main><h1>Confirm your payment</h1>
<p>{{ amount }} with the {{ card.brand }} card ending in {{ card.last4 }}.</p>
{% if status == "requires_action" %}<form method="post">
<button name="outcome" value="confirm">Confirm</button>
<button name="outcome" value="refuse">Refuse</button>
</form>{% else %}<p role="status">{{ words }} You can close this page.</p>{% endif %}
</main></body></html>
"""
_CHALLENGE_WORDS = {
    "succeeded": "The payment is confirmed.",
    "failed": "The payment is refused.",
    "voided": "The merchant has given this payment up. Nothing is charged.",
}


class ApiError(Exception):
    """An answer of "no": HTTP status, stable code, sentence, and what else belongs into ``error``."""

    def __init__(self, status: int, code: str, message: str, **more: Any) -> None:
        super().__init__(code)
        self.status = status
        self.body = {"error": {"code": code, "message": message, **more}}


class OfflineProviderApi:
    """The views.

    Args:
        book: where everything is written.
        secret_key: what merchants send as a bearer token.
        delays_s: seconds by which the answer is held back after the charge is in the book.
        public_url: under which browsers reach it; None: as whoever asks for a charge does.
    """

    def __init__(
        self, book: Book, secret_key: str, delays_s: dict[Behaviour, float], public_url: str | None = None
    ) -> None:
        self._public_url = public_url
        self._book = book
        self._disputes = Disputes(book)
        self._secret = f"Bearer {secret_key}".encode()
        self._delays_s = delays_s

    def create_token(self) -> tuple[dict[str, Any], int]:
        card = _load(TokenRequest(self._book.clock.now()))
        number = digits_of(card["number"])
        brand, last4 = brand_of(number), number[-4:]
        token = self._book.new_token(brand, last4, TEST_CARDS[number], (card["exp_month"], card["exp_year"]))
        expiry = {"exp_month": card["exp_month"], "exp_year": card["exp_year"]}
        return {"token": token, "brand": brand, "last4": last4, **expiry}, HTTPStatus.CREATED

    def create_charge(self) -> tuple[dict[str, Any], int]:
        self._authenticate()
        key = _idempotency_key()
        try:
            base_url = self._public_url or request.host_url
            charge, behaviour = self._book.charge(key, _load(ChargeRequest()), base_url)
        except KeyReusedError:
            raise ApiError(409, "idempotency_key_reused", "This key was used for another charge.") from None
        except KeyVoidedError:
            raise ApiError(
                410, "key_voided", "This key was given up. Nothing was charged, and nothing will be."
            ) from None
        if charge["error"]:
            raise ApiError(402, charge["error"]["code"], charge["error"]["message"], charge_id=charge["id"])
        if charge["status"] == "requires_action":
            return charge, HTTPStatus.ACCEPTED
        if behaviour in self._delays_s:
            time.sleep(self._delays_s[behaviour])  # outside of the book's lock, and green under eventlet
        return charge, HTTPStatus.CREATED

    def void_charge(self) -> dict[str, Any]:
        self._authenticate()
        key = _load(VoidRequest())["idempotency_key"]
        charge = self._book.void(key)
        return {"idempotency_key": key, "voided": charge is None, "charge": charge}

    def list_charges(self) -> dict[str, Any]:
        self._authenticate()
        key, reference = request.args.get("idempotency_key"), request.args.get("reference")
        if (key is None) == (reference is None):
            raise ApiError(400, "filter_required", "Ask with either idempotency_key or reference.")
        if key is None:
            return {"items": self._book.by_reference(reference or "")}
        return {"items": self._book.by_key(key), "voided": self._book.is_voided(key)}

    def get_charge(self, charge_id: str) -> dict[str, Any]:
        self._authenticate()
        charge = self._book.by_id(charge_id)
        if charge is None:
            raise ApiError(404, "not_found", "There is no such charge.")
        return charge

    def keep_card(self) -> tuple[dict[str, Any], int]:
        self._authenticate()
        key = _idempotency_key()
        try:
            return self._book.keep_card(key, _load(CardRequest())["token"]), HTTPStatus.CREATED
        except KeyReusedError:
            raise ApiError(409, "idempotency_key_reused", "This key was used for another card.") from None
        except CardRefusedError as refused:
            raise ApiError(402, refused.code, REFUSALS[refused.code]) from None

    def forget_card(self, card_id: str) -> tuple[str, int]:
        self._authenticate()
        if not self._book.forget_card(card_id):
            raise ApiError(404, "not_found", "There is no such card.")
        return "", HTTPStatus.NO_CONTENT

    def show_challenge(self, challenge_id: str) -> Response | str:
        charge = self._book.find_challenge(challenge_id)
        if charge is None:
            raise ApiError(404, "not_found", "There is no such payment.")
        return self._challenge_page(charge)

    def decide_challenge(self, challenge_id: str) -> tuple[Response | str, int]:
        sent = request.get_json(silent=True) if request.is_json else request.form
        outcome = sent.get("outcome") if isinstance(sent, Mapping) else None
        if outcome not in ("confirm", "refuse"):
            raise ApiError(422, "validation_failed", "Say outcome: confirm or refuse.")
        try:
            charge = self._book.confirm(challenge_id, confirmed=outcome == "confirm")
        except ChallengeOverError as over:
            raise ApiError(409, "challenge_over", _CHALLENGE_WORDS[over.outcome], outcome=over.outcome) from None
        if charge is None:
            raise ApiError(404, "not_found", "There is no such payment.")
        return self._challenge_page(charge), HTTPStatus.OK

    def _challenge_page(self, charge: dict[str, Any]) -> Response | str:
        """For a browser, or for a program that plays the payer."""
        status = charge["status"]
        if request.accept_mimetypes.best == "application/json" or request.is_json:
            return jsonify(status=status)
        amount = Money(charge["amount_minor"], charge["currency"])
        return render_template_string(
            _CHALLENGE_PAGE, status=status, amount=amount, card=charge["card"], words=_CHALLENGE_WORDS.get(status, "")
        )

    def create_refund(self) -> tuple[dict[str, Any], int]:
        self._authenticate()
        key = _idempotency_key()
        try:
            refund = self._book.refund(key, _load(RefundRequest()))
        except KeyReusedError:
            raise ApiError(409, "idempotency_key_reused", "This key was used for another refund.") from None
        if refund["error"]:
            raise ApiError(402, refund["error"]["code"], refund["error"]["message"], refund_id=refund["id"])
        return refund, HTTPStatus.CREATED

    def list_refunds(self) -> dict[str, Any]:
        self._authenticate()
        key, reference = request.args.get("idempotency_key"), request.args.get("reference")
        if (key is None) == (reference is None):
            raise ApiError(400, "filter_required", "Ask with either idempotency_key or reference.")
        book = self._book
        return {"items": book.refund_by_key(key) if key is not None else book.refunds_by_reference(reference or "")}

    def open_dispute(self) -> tuple[dict[str, Any], int]:
        self._authenticate()
        try:
            return self._disputes.open(**_load(DisputeRequest())), HTTPStatus.CREATED
        except NotDisputableError:
            raise ApiError(409, "not_disputable", "There is no such charge, it took less, or it is disputed.") from None

    def list_disputes(self) -> dict[str, Any]:
        """By reference, or what has changed since a list before."""
        self._authenticate()
        reference, after = request.args.get("reference"), request.args.get("after", "0")
        if reference is not None:
            return {"items": self._disputes.by_reference(reference)}
        if not re.fullmatch(r"[0-9]{1,18}", after):
            raise ApiError(400, "cursor_invalid", "Go on after the `last` of a list before, or 0.")
        items, last = self._disputes.changed(int(after), _CHANGES_AT_ONCE)
        return {"items": items, "last": last}

    def send_evidence(self, dispute_id: str) -> dict[str, Any]:
        self._authenticate()
        text = _load(EvidenceRequest())["text"]
        return self._decided(lambda: self._disputes.add_evidence(dispute_id, text))

    def accept_dispute(self, dispute_id: str) -> dict[str, Any]:
        self._authenticate()
        return self._decided(lambda: self._disputes.close(dispute_id, LOST))

    def decide_dispute(self, dispute_id: str) -> dict[str, Any]:
        self._authenticate()
        outcome = _load(DisputeDecision())["outcome"]
        return self._decided(lambda: self._disputes.close(dispute_id, outcome))

    def _decided(self, change: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
        try:
            dispute = change()
        except DisputeOverError as over:
            raise ApiError(409, "dispute_over", f"The network has decided: {over.outcome}.") from None
        if dispute is None:
            raise ApiError(404, "not_found", "There is no such dispute.")
        return dispute

    def health(self) -> dict[str, str]:
        return {"status": "ok"}

    def _authenticate(self) -> None:
        if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), self._secret):
            raise ApiError(401, "unauthenticated", "Send the secret key as a bearer token.")


def create_app(
    book_path: Path | str,
    secret_key: str,
    slow_s: float = 3.0,
    hang_s: float = 60.0,
    *,
    token_lifetime_s: float = 3600.0,
    challenge_s: float = 900.0,
    public_url: str | None = None,
    clock: Clock | None = None,
    webhooks: Target | None = None,
) -> Flask:
    """The provider as a WSGI application, for a threaded server or one under eventlet.

    Args:
        book_path: its SQLite file.
        secret_key: what merchants send as a bearer token.
        slow_s: seconds that the slow card takes.
        hang_s: seconds that the card which times out after charging takes.
        token_lifetime_s: seconds after which a one-time token is refused.
        challenge_s: seconds that a payer has to confirm a payment.
        public_url: under which browsers reach it, if not as the merchant does.
        clock: for tests.
        webhooks: where to send them; the caller starts and stops ``app.extensions["courier"]``, which does.

    Raises:
        ValueError: there is no secret key.
    """
    if not secret_key:
        raise ValueError("the provider needs a secret key")
    book = Book(
        book_path, timedelta(seconds=token_lifetime_s), clock, webhooks.after_s if webhooks else (),
        timedelta(seconds=challenge_s),
    )  # fmt: skip
    api = OfflineProviderApi(book, secret_key, {Behaviour.SLOW: slow_s, Behaviour.TIMEOUT: hang_s}, public_url)
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _MAX_BODY_BYTES
    app.add_url_rule("/tokens", view_func=api.create_token, methods=["POST"])
    app.add_url_rule("/charges", view_func=api.create_charge, methods=["POST"])
    app.add_url_rule("/charges", view_func=api.list_charges)
    app.add_url_rule("/charges/void", view_func=api.void_charge, methods=["POST"])
    app.add_url_rule("/charges/<charge_id>", view_func=api.get_charge)
    app.add_url_rule("/cards", view_func=api.keep_card, methods=["POST"])
    app.add_url_rule("/cards/<card_id>", view_func=api.forget_card, methods=["DELETE"])
    app.add_url_rule("/challenges/<challenge_id>", view_func=api.show_challenge)
    app.add_url_rule("/challenges/<challenge_id>", view_func=api.decide_challenge, methods=["POST"])
    app.add_url_rule("/refunds", view_func=api.create_refund, methods=["POST"])
    app.add_url_rule("/refunds", view_func=api.list_refunds)
    app.add_url_rule("/disputes", view_func=api.open_dispute, methods=["POST"])
    app.add_url_rule("/disputes", view_func=api.list_disputes)
    app.add_url_rule("/disputes/<dispute_id>/evidence", view_func=api.send_evidence, methods=["POST"])
    app.add_url_rule("/disputes/<dispute_id>/accept", view_func=api.accept_dispute, methods=["POST"])
    app.add_url_rule("/disputes/<dispute_id>/decide", view_func=api.decide_dispute, methods=["POST"])
    app.add_url_rule("/healthz", view_func=api.health)
    app.register_error_handler(ApiError, lambda error: (error.body, error.status))
    app.register_error_handler(HTTPException, _http_error)
    app.after_request(_allow_browsers)
    app.extensions["book"] = book
    if webhooks is not None:
        app.extensions["courier"] = Courier(book, webhooks)
    return app


def _idempotency_key() -> str:
    key = request.headers.get("Idempotency-Key", "")
    if not key or len(key) > _LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise ApiError(400, "idempotency_key_required", "Send an Idempotency-Key of 1 to 255 printable characters.")
    return key


def _load(schema: Schema) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = schema.load(request.get_json())
    except ValidationError as error:
        found = field_errors(error.messages)
        raise ApiError(422, "validation_failed", "Some fields are wrong; see fields.", fields=found) from None
    except RecursionError:
        raise ApiError(400, "bad_request", "The body is nested too deeply.") from None
    return loaded


def _http_error(error: HTTPException) -> tuple[Response, int]:
    status = HTTPStatus(error.code or 500)
    return jsonify(error={"code": status.name.lower(), "message": f"{status.phrase}."}), status


def _allow_browsers(response: Response) -> Response:
    """Pages of any shop may make tokens, as with real providers; nothing else is for browsers."""
    if request.path == "/tokens":
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Access-Control-Allow-Methods"] = "POST"
        response.headers["Access-Control-Allow-Headers"] = "Content-Type"
        response.headers["Access-Control-Max-Age"] = "600"
    response.headers["Cache-Control"] = "no-store"
    return response
