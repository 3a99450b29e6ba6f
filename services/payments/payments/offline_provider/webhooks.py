"""Telling the merchant: webhooks that come late, twice, and again until somebody takes them, as real ones do."""

from __future__ import annotations

import hmac
import json
import logging
import threading
from dataclasses import dataclass, field

import requests

from payments.offline_provider.book import Book, News

_log = logging.getLogger("payments.offline_provider")

SIGNATURE_HEADER = "Provider-Signature"

_AT_ONCE = 20
_PAUSE_S = 0.2
_TIMEOUT_S = 10.0
_LONGEST_DELAY_S = 60.0
#: Attempts at one delivery: some three days.
_MOST_ATTEMPTS = 4300


@dataclass(frozen=True, slots=True)
class Target:
    """Where webhooks go.

    Args:
        url: of the merchant.
        secret: signs them; the merchant knows it.
        after_s: seconds after which each copy is sent. Late by default, when the merchant has long lost patience with
            a card that times out, and twice: it must bear both.
    """

    url: str
    secret: str = field(repr=False)
    after_s: tuple[float, ...] = (10.0, 30.0)


class Courier:
    """Delivers the news in the book, one after the other, in a thread of its own.

    Args:
        book: with the news; they survive a restart there.
        target: where they go.
    """

    def __init__(self, book: Book, target: Target) -> None:
        self._book = book
        self._target = target
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy of the machine, no .netrc
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the delivery at hand, and end."""
        self._stopping.set()
        self._thread.join(_TIMEOUT_S + 1)

    def deliver_due(self) -> int:
        """Try every delivery that is due, once; how many there were."""
        due = self._book.due_news(_AT_ONCE)
        for news in due:
            if self._stopping.is_set():
                break
            self._deliver(news)
        return len(due)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                idle = self.deliver_due() < _AT_ONCE
            except Exception:  # the book is locked by somebody, say: the provider goes on, and so do its webhooks
                _log.exception("webhooks could not be delivered; trying again")
                idle = True
            if idle:
                self._stopping.wait(_PAUSE_S)

    def _deliver(self, news: News) -> None:
        body = json.dumps(news.event, separators=(",", ":")).encode()
        moment = int(self._book.clock.now().timestamp())
        headers = {
            "Content-Type": "application/json",
            SIGNATURE_HEADER: signature(body, moment, self._target.secret),
        }
        try:
            answer = self._session.post(
                self._target.url, data=body, headers=headers, timeout=_TIMEOUT_S, allow_redirects=False
            )
            delivered = 200 <= answer.status_code < 300
        except requests.RequestException:
            delivered = False
        if delivered or news.attempts + 1 >= _MOST_ATTEMPTS:
            self._book.end_news(news)
        else:
            self._book.postpone_news(news, min(2.0 ** min(news.attempts, 10), _LONGEST_DELAY_S))


def signature(body: bytes, moment: int, *secrets: str) -> str:
    """The header that proves a webhook: HMAC-SHA256 over the moment and the raw body, under each of the secrets.

    Args:
        body: exactly as it is sent.
        moment: Unix time in whole seconds.
        secrets: one; two while the merchant changes it.
    """
    signed = f"{moment}.".encode() + body
    return ",".join(
        [f"t={moment}", *(f"v1={hmac.digest(secret.encode(), signed, 'sha256').hex()}" for secret in secrets)]
    )
