"""What belongs to somebody else does not exist: every route, tried with an object of another organisation.

The routes come from the OpenAPI document that the store serves, so a new one is tried as soon as it is there; one with
a new kind of object in its path fails here until `Others` says how such an object comes about.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import pytest
from store import Client, Store, card_mail

pytestmark = pytest.mark.journey

#: What a route needs in its body so that nothing is wrong with it but whose object it is about. A name in braces is an
#: object of the other organisation, or one that nobody has.
BODIES: dict[str, Any] = {
    "PATCH /v1/cart/lines/{line_id}": {"quantity": 2},
    "PATCH /v1/organization/addresses/{address_id}": {"city": "Albany"},
    "POST /v1/orders/{order_id}/convert": {"payment": {"method": "wire"}},
    "PATCH /v1/organization/users/{user_id}": {"role": "viewer"},
    "PATCH /v1/payment-methods/{payment_method_id}": {"default": True},
    "POST /v1/support-cards/{card_id}/bind": {"mail_domain": "acme.example"},
    "POST /v1/support-cards/{card_id}/split": {"credits": [100, 200]},
    "POST /v1/tickets/{ticket_id}/comments": {"text": "Hello"},
    "POST /v1/tickets/{ticket_id}/overrun": {"approve": True, "expected_credits": 30},
    "POST /v1/tickets/{ticket_id}/reopen": {"cap_credits": 60},
    "POST /v1/orders/{order_id}/payment": {"payment": {"method": "wire"}},
}  # fmt: skip
#: Objects that are named in a body instead of the path: route, body, name of the object.
IN_BODIES: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("POST /v1/cart/lines", {"sku": "CONTRACT-STANDARD", "quantity": 1, "deployment_id": "{}"}, "deployment_id"),
    ("POST /v1/cart/deployment", {"deployment_id": "{}"}, "deployment_id"),
)
#: Parameters of paths that name nothing that an organisation has.
_OF_NOBODY = {"sku", "token"}
_METHODS = ("get", "post", "put", "patch", "delete")


class Others:
    """What an organisation has that the asker does not belong to."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.gus = store.client("gus@globex.example")

    @cached_property
    def order_id(self) -> str:
        """An order that waits for its money: everything can be wished of it."""
        return str(self.gus.order_by("wire")["id"])

    @cached_property
    def card_id(self) -> str:
        self.gus.empty_cart()
        order = self.gus.buy_card()
        card_mail(self.store, order)
        return str(self.gus.fulfilled(order["id"])["support_cards"][0]["id"])

    @cached_property
    def line_id(self) -> str:
        return str(self.gus.fill_cart()["lines"][0]["id"])

    @cached_property
    def deployment_id(self) -> str:
        return "30550007"

    @cached_property
    def user_id(self) -> str:
        return "usr_grace"

    @cached_property
    def invitation_id(self) -> str:
        invited = {"email": f"{uuid.uuid4().hex}@globex.example", "name": "Gina", "role": "viewer"}
        return str(self.made("/v1/organization/users", invited)["id"])

    @cached_property
    def entry_id(self) -> str:
        """A line of the statement: credits that a pack has brought."""
        self.gus.empty_cart()
        order = self.gus.place(self.gus.order_body(self.gus.fill_cart("HOURLY-120", "organization"))).json()
        self.gus.fulfilled(order["id"])
        return str(self.gus.get("/v1/credits/entries")["items"][0]["id"])

    @cached_property
    def number(self) -> str:
        """Of a credit note, which is one of an order."""
        return "CN-2026-000001"

    @cached_property
    def address_id(self) -> str:
        address = {
            "name": "Gus Gold", "address": "1 Main Street", "city": "Albany", "state": "NY", "zip": "12207",
            "country": "US",
        }  # fmt: skip
        return str(self.made("/v1/organization/addresses", address)["id"])

    @cached_property
    def key_id(self) -> str:
        return str(self.made("/v1/organization/api-keys", {"name": "Nightly"})["id"])

    @cached_property
    def payment_method_id(self) -> str:
        """A saved payment card."""
        return str(self.made("/v1/payment-methods", {"provider_token": "tok_test_success", "save": True})["id"])

    @cached_property
    def ticket_id(self) -> str:
        """A ticket on a deployment with a contract, by an organisation with a balance."""
        for sku, deployment in (("CONTRACT-STANDARD", "30550007"), ("HOURLY-120", None)):
            self.gus.empty_cart()
            line = {"sku": sku, "quantity": 1, "credit_destination": "organization", "deployment_id": deployment}
            assert self.gus.ask("POST", "/v1/cart/lines", line).ok
            placed = self.gus.place(self.gus.order_body(self.gus.get("/v1/cart")))
            assert placed.status_code == 201, placed.text
            self.gus.fulfilled(placed.json()["id"])
        asked = {
            "deployment_id": "30550007",
            "subject": "No dial tone",
            "description": "Since today",
            "cap_credits": 30,
        }
        return str(self.made("/v1/tickets", asked)["id"])

    def made(self, path: str, body: dict[str, Any]) -> Any:
        response = self.gus.ask("POST", path, body, key=str(uuid.uuid4()))
        assert response.status_code in (201, 202), response.text
        return response.json()


@pytest.fixture(scope="module")
def others(embedded_store: Store) -> Others:
    return Others(embedded_store)


@pytest.fixture(scope="module")
def alan(embedded_store: Store) -> Client:
    """An admin, who may do everything within the own organisation."""
    return embedded_store.client("alan@acme.example")


def routes(client: Client, *, for_staff: bool) -> Iterator[tuple[str, list[str]]]:
    """Every route of customers, or of staff, with the names of its path's parameters."""
    for path, operations in client.get("/openapi.json")["paths"].items():
        for method, operation in operations.items():
            if method in _METHODS and operation.get("x-for-staff", False) == for_staff:
                yield f"{method.upper()} {path}", re.findall(r"{(\w+)}", path)


def refusal(client: Client, route: str, path: str, body: Any) -> tuple[int, dict[str, Any]]:
    """The answer without what is new each time."""
    response = client.ask(route.split(" ")[0], path, body, key=str(uuid.uuid4()))
    told = response.json() if response.content else {}
    return response.status_code, {name: value for name, value in told.items() if name != "correlation_id"}


def test_an_object_of_another_organization_is_one_that_does_not_exist(alan: Client, others: Others) -> None:
    tried = 0
    for route, parameters in routes(alan, for_staff=False):
        if not parameters or set(parameters) & _OF_NOBODY:
            continue
        _, path = route.split(" ")
        has_body = not route.startswith(("GET", "DELETE"))
        answers = []
        for find in (lambda name: getattr(others, name), lambda name: f"{getattr(others, name)[:-4]}0000"):
            filled = re.sub(r"{(\w+)}", lambda match, find=find: find(match[1]), path)
            answers.append(refusal(alan, route, filled, BODIES.get(route, {}) if has_body else None))
        foreign, unknown = answers
        assert foreign == unknown, f"{route} tells a foreign object from an unknown one"
        assert foreign[0] == 404, f"{route}: {foreign}"
        tried += 1
    assert tried > 10


@pytest.mark.parametrize(
    ("route", "body", "name"), IN_BODIES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_so_is_one_that_a_body_names(route: str, body: dict[str, Any], name: str, alan: Client, others: Others) -> None:
    _, path = route.split(" ")
    foreign = getattr(others, name)

    def told(identifier: str) -> tuple[int, dict[str, Any]]:
        filled = {key: identifier if value == "{}" else value for key, value in body.items()}
        status, problem = refusal(alan, route, path, filled)
        return status, {key: str(value).replace(identifier, "…") for key, value in problem.items()}

    assert told(foreign) == told(f"{foreign[:-4]}0000")
    assert told(foreign)[0] in (404, 422)


def test_what_is_staffs_is_refused_to_customers_whatever_it_is_about(alan: Client, others: Others) -> None:
    tried = 0
    for route, _ in routes(alan, for_staff=True):
        _, path = route.split(" ")
        for find in (lambda name: getattr(others, name, "nobody"), lambda _name: "nobody"):
            filled = re.sub(r"{(\w+)}", lambda match, find=find: find(match[1]), path)
            status, problem = refusal(alan, route, filled, None if route.startswith(("GET", "DELETE")) else {})
            assert (status, problem["code"]) == (403, "forbidden"), f"{route}: {problem}"
        tried += 1
    assert tried > 10
