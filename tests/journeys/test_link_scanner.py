"""A scanner of a mail server looks at every link in every mail before the reader does: nothing is used up by that."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import pytest
import requests
from store import PASSWORD, Client, Store, card_mail, number_and_code

from chassis.testing import wait_until
from punchcard.mails import preview

pytestmark = pytest.mark.journey

_LINK = re.compile(r"https?://[^\s\"'<>]+")


def links_in(*texts: str) -> set[str]:
    """Everything that a scanner would take for a link."""
    return {found.rstrip(".,;:)") for text in texts for found in _LINK.findall(text)}


def token_in(store: Store, address: str, page: str) -> str:
    """The token of the link to a page of the store in the newest mail to an address."""

    def found() -> list[str]:
        mails = [mail for mail in store.mails() if address in str(mail["to"])]
        return [token for mail in mails for token in re.findall(rf"/{page}/(\S+)", mail["text"])]

    wait_until(found, f"a mail with a link to {page}")
    return found()[0]


def everything_seen(client: Client, order: Any, quote: Any) -> list[Any]:
    """What somebody sees of what the mails are about."""
    paths = (
        "/v1/cart", "/v1/credits", "/v1/support-cards?role=issuer", f"/v1/orders/{order['id']}",
        f"/v1/orders/{quote['id']}",
    )  # fmt: skip
    return [client.get(path) for path in paths]


def test_whoever_looks_at_links_uses_none_up(embedded_store: Store, tmp_path: Path) -> None:
    store = embedded_store
    grace, address = store.client("grace@globex.example"), f"{uuid.uuid4()}@new.example"
    # one of each mail whose links could do something: an account, a password, a card, a quote, money to pay
    new = {"email": address, "password": "correct horse battery", "name": "New", "organization_name": "New Inc."}
    assert requests.post(f"{store.base_url}/v1/users", json=new, timeout=30).status_code == 202
    forgot = {"email": "grace@globex.example"}
    assert requests.post(f"{store.base_url}/v1/password-resets", json=forgot, timeout=30).status_code == 202
    grace.empty_cart()
    bought = grace.fulfilled(grace.buy_card()["id"])
    number, code = number_and_code(card_mail(store, bought))
    waiting = grace.order_by("wire")
    quoted = grace.place(grace.order_body(grace.fill_cart(), payment={"method": "quote"}))
    assert quoted.status_code == 201, quoted.text
    grace.fill_cart("HOURLY-120")
    confirmation = token_in(store, address, "confirm")
    reset = token_in(store, "grace@globex.example", "reset-password")
    for words in ("Payment reference: ", "this is the quote"):
        wait_until(lambda words=words: [m for m in store.mails() if words in m["text"]], words)
    before = everything_seen(grace, waiting, quoted.json())

    mails = [text for mail in store.mails() for text in (mail["text"], mail["html"] or "")]
    previewed = [file.read_text() for file in preview(tmp_path, store.base_url)[1:]]
    links = links_in(*mails, *previewed)
    assert f"{store.base_url}/confirm/{confirmation}" in links
    assert f"{store.base_url}/reset-password/{reset}" in links
    assert f"{store.base_url}/v1/support-cards/claim" in links
    for link in links:
        assert link.startswith(store.base_url), "a mail leads to the store and nowhere else"
        for method in ("HEAD", "GET", "GET"):
            looked = requests.request(method, link, timeout=30)
            assert looked.status_code < 500, (method, link)

    assert everything_seen(grace, waiting, quoted.json()) == before
    confirmed = requests.post(f"{store.base_url}/v1/users/confirm", json={"token": confirmation}, timeout=30)
    assert confirmed.status_code == 204, confirmed.text
    renewed = requests.post(f"{store.base_url}/v1/password-resets/{reset}", json={"password": PASSWORD}, timeout=30)
    assert renewed.status_code == 204, renewed.text
    claim = {"number": number, "code": code}
    claimed = store.client("grace@globex.example").ask("POST", "/v1/support-cards/claim", claim, key=str(uuid.uuid4()))
    assert claimed.status_code == 200, claimed.text
