"""The offline payment provider over HTTP (see `payments.offline_provider`)."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from kernel.money import Money
from payments.domain.provider import NotSeen, Outcome, Unknown
from payments.providers.offline_answers import outcome_of_charge, outcome_of_find, outcome_of_void

#: "Come back later" (RFC 6585 section 4, RFC 9110 section 15.6.4).
_BUSY = (429, 503)
#: Seconds of the longest pause a provider can order; its own mistake must not stop all payments for days.
_LONGEST_PAUSE_S = 900.0


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
        self._timeout = (connect_timeout_s, read_timeout_s)
        self._asks_again_at = 0.0
        self._session = requests.Session()
        self._session.auth = _Bearer(key)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_connections=2, pool_maxsize=connections, max_retries=0))

    def charge(self, key: str, token: str, amount: Money, reference: str) -> Outcome:
        """See `payments.domain.provider.Provider`."""
        body = {"token": token, "reference": reference, **amount.as_dict()}
        answer = self._ask("POST", "/charges", json=body, headers={"Idempotency-Key": key})
        return answer if isinstance(answer, Unknown) else outcome_of_charge(key, *answer)

    def find(self, key: str) -> Outcome | NotSeen:
        """See `payments.domain.provider.Provider`."""
        answer = self._ask("GET", "/charges", params={"idempotency_key": key})
        return answer if isinstance(answer, Unknown) else outcome_of_find(key, *answer)

    def void(self, key: str) -> Outcome:
        """See `payments.domain.provider.Provider`."""
        answer = self._ask("POST", "/charges/void", json={"idempotency_key": key})
        return answer if isinstance(answer, Unknown) else outcome_of_void(key, *answer)

    def _ask(self, method: str, path: str, **request: Any) -> tuple[int, Any] | Unknown:
        """Status and JSON of the answer, or why there is none. A provider that wants to be left alone is."""
        left = self._asks_again_at - time.monotonic()
        if left > 0:
            return Unknown("told to wait", left)
        try:
            response = self._request(method, path, **request)
            if response.status_code in _BUSY:
                wait = _retry_after_s(response.headers.get("Retry-After", ""))
                self._asks_again_at = time.monotonic() + wait
                return Unknown(f"status {response.status_code}", wait)
            return response.status_code, response.json() if response.status_code < 500 else None
        except requests.Timeout:
            return Unknown("timeout")
        except (requests.RequestException, ValueError, RecursionError) as error:
            return Unknown(type(error).__name__)

    def _request(self, method: str, path: str, **request: Any) -> requests.Response:
        """Ask; once more if the connection broke, which a pooled one may do at any time.

        Safe for charges too: the idempotency key makes the second request the first one's. Timeouts are not tried
        again here, somebody is waiting; `settle_payments` takes care of them.
        """
        url = self._url + path
        try:
            return self._session.request(method, url, timeout=self._timeout, allow_redirects=False, **request)
        except requests.Timeout:
            raise
        except requests.ConnectionError:
            return self._session.request(method, url, timeout=self._timeout, allow_redirects=False, **request)


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
    return min(max(wanted, 0.0), _LONGEST_PAUSE_S)
