"""The offline payment provider over HTTP (see `payments.offline_provider`)."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from kernel.money import Money
from payments.domain.provider import (
    LONGEST_PAUSE_S,
    DisputeAnswer,
    DisputeNews,
    KeepOutcome,
    NotSeen,
    Outcome,
    RefundOutcome,
    Unknown,
)
from payments.providers.offline_answers import (
    answer_of_dispute,
    news_of_disputes,
    outcome_of_charge,
    outcome_of_find,
    outcome_of_find_refund,
    outcome_of_keep,
    outcome_of_refund,
    outcome_of_void,
)

#: "Come back later" (RFC 6585 section 4, RFC 9110 section 15.6.4).
_BUSY = (429, 503)


class _Bearer(AuthBase):
    """Our secret. As an `auth` of requests no .netrc of the machine can take its place."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class OfflineProvider:
    """Speaks to the provider with pooled connections; safe to share between greenlets and threads.

    Args:
        url: its base address.
        key: the secret it knows us by.
        connect_timeout_s: seconds to wait for a connection.
        read_timeout_s: seconds to wait for an answer.
        connections: kept open.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        connect_timeout_s: float = 1.0,
        read_timeout_s: float = 5.0,
        connections: int = 20,
    ) -> None:
        self._url = url.rstrip("/")
        self._asks_again_at = 0.0
        self._session = requests.Session()
        self._session.auth = _Bearer(key)
        # The proxies and certificates that the environment names, read once: requests would read them for each call.
        found = self._session.merge_environment_settings(self._url, {}, None, None, None)
        self._session.trust_env = False
        self._options: dict[str, Any] = {
            **found,
            "timeout": (connect_timeout_s, read_timeout_s),
            "allow_redirects": False,
        }
        # what all charges have in common
        self._charge = self._prepared("POST", "/charges", headers={"Content-Type": "application/json"})
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_connections=2, pool_maxsize=connections, max_retries=0))

    def charge(self, key: str, token: str, amount: Money, reference: str) -> Outcome:
        """See `payments.domain.provider.Provider`."""
        body = {"token": token, "reference": reference, **amount.as_dict()}
        request = self._charge.copy()
        request.headers["Idempotency-Key"] = key
        request.prepare_body(json.dumps(body).encode(), None)
        answer = self._ask(request)
        return answer if isinstance(answer, Unknown) else outcome_of_charge(key, *answer)

    def find(self, key: str) -> Outcome | NotSeen:
        """See `payments.domain.provider.Provider`."""
        answer = self._ask(self._prepared("GET", "/charges", params={"idempotency_key": key}))
        return answer if isinstance(answer, Unknown) else outcome_of_find(key, *answer)

    def void(self, key: str) -> Outcome:
        """See `payments.domain.provider.Provider`."""
        answer = self._ask(self._prepared("POST", "/charges/void", json={"idempotency_key": key}))
        return answer if isinstance(answer, Unknown) else outcome_of_void(key, *answer)

    def refund(self, key: str, charge_id: str, amount: Money) -> RefundOutcome:
        """See `payments.domain.provider.Provider`."""
        body = {"charge_id": charge_id, **amount.as_dict()}
        answer = self._ask(self._prepared("POST", "/refunds", json=body, headers={"Idempotency-Key": key}))
        return answer if isinstance(answer, Unknown) else outcome_of_refund(key, *answer)

    def find_refund(self, key: str) -> RefundOutcome | NotSeen:
        """See `payments.domain.provider.Provider`."""
        answer = self._ask(self._prepared("GET", "/refunds", params={"idempotency_key": key}))
        return answer if isinstance(answer, Unknown) else outcome_of_find_refund(key, *answer)

    def keep_card(self, key: str, token: str) -> KeepOutcome:
        """See `payments.domain.provider.Provider`."""
        request = self._prepared("POST", "/cards", json={"token": token}, headers={"Idempotency-Key": key})
        answer = self._ask(request)
        return answer if isinstance(answer, Unknown) else outcome_of_keep(key, *answer)

    def forget_card(self, card_id: str) -> bool:
        """See `payments.domain.provider.Provider`."""
        answer = self._ask(self._prepared("DELETE", f"/cards/{quote(card_id, safe='')}"))
        return not isinstance(answer, Unknown) and answer[0] in (204, 404)

    def changed_disputes(self, cursor: str | None) -> DisputeNews | Unknown:
        """See `payments.domain.provider.Provider`."""
        answer = self._ask(self._prepared("GET", "/disputes", params={"after": cursor or "0"}))
        return answer if isinstance(answer, Unknown) else news_of_disputes(*answer)

    def send_evidence(self, dispute_id: str, text: str) -> DisputeAnswer:
        """See `payments.domain.provider.Provider`."""
        return self._answer_dispute(dispute_id, "evidence", {"text": text})

    def accept_dispute(self, dispute_id: str) -> DisputeAnswer:
        """See `payments.domain.provider.Provider`."""
        return self._answer_dispute(dispute_id, "accept", {})

    def _answer_dispute(self, dispute_id: str, what: str, body: dict[str, str]) -> DisputeAnswer:
        answer = self._ask(self._prepared("POST", f"/disputes/{quote(dispute_id, safe='')}/{what}", json=body))
        return answer if isinstance(answer, Unknown) else answer_of_dispute(dispute_id, *answer)

    def _prepared(self, method: str, path: str, **parts: Any) -> requests.PreparedRequest:
        return self._session.prepare_request(requests.Request(method, self._url + path, **parts))

    def _ask(self, request: requests.PreparedRequest) -> tuple[int, Any] | Unknown:
        """Status and JSON of the answer, or why there is none. A provider that wants to be left alone is."""
        left = self._asks_again_at - time.monotonic()
        if left > 0:
            return Unknown("told to wait", left)
        try:
            response = self._send(request)
            if response.status_code in _BUSY:
                wait = _retry_after_s(response.headers.get("Retry-After", ""))
                self._asks_again_at = time.monotonic() + wait
                return Unknown(f"status {response.status_code}", wait)
            has_body = response.status_code < 500 and response.content
            return response.status_code, json.loads(response.content) if has_body else None
        except requests.Timeout:
            return Unknown("timeout")
        except (requests.RequestException, ValueError, RecursionError) as error:
            return Unknown(type(error).__name__)

    def _send(self, request: requests.PreparedRequest) -> requests.Response:
        """Ask; once more if the connection broke, which a pooled one may do at any time.

        Safe for charges and refunds too: the idempotency key makes the second request the first one's. Timeouts are
        not tried again here, somebody is waiting; `settle_payments` and `settle_refunds` take care of them.
        """
        try:
            return self._session.send(request, **self._options)
        except requests.Timeout:
            raise
        except requests.ConnectionError:
            return self._session.send(request, **self._options)


def _retry_after_s(header: str) -> float:
    """Seconds that a Retry-After header asks for, as a number or as a date (RFC 9110, 10.2.3); 0 if it says nothing."""
    text = header.strip()
    if text.isascii() and text.isdigit():
        wanted = float(text[:9])
    else:
        try:
            wanted = (parsedate_to_datetime(text).astimezone(UTC) - datetime.now(UTC)).total_seconds()
        except ValueError:
            wanted = 0.0
    return min(max(wanted, 0.0), LONGEST_PAUSE_S)
