"""What each role, and each scope of an API key, may do: every route, as somebody who may and somebody who may not.

docs/roles.md says it; here it is tried with the real services behind the real gateway, in one thread.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from model.in_process import ORGANIZATIONS, InProcessStore, make_templates

from accounts import storage
from accounts.use_cases.register_organization import register_organization
from chassis.identity import READ, SCOPES, Identity
from chassis.sealing import Opener, new_key
from chassis.testing import identity
from gateway.app import create_app
from gateway.identities import Credential, digest_of
from gateway.settings import Settings

ROOT = Path(__file__).parents[1]
CUSTOMERS = ("ticket", "viewer", "buyer", "admin")
STAFF = ("finance", "support", "superuser")
#: Rows of the table: the route, who may use it, and the scope that an API key needs.
ROW = re.compile(r"^\| `([A-Z]+) (/[^` ]*)` \| ([a-z, ]+) \| ([a-z]*) \|$", re.MULTILINE)
TABLE = {
    (method, path): (tuple(roles.split(", ")), scope)
    for method, path, roles, scope in ROW.findall((ROOT / "docs/roles.md").read_text())
}
#: Bodies that the gateway's tests have in a form for some roles only.
BODIES = {
    ("POST", "/v1/tickets/{ticket_id}/comments"): {"text": "Hello"},
    ("POST", "/v1/organization/api-keys"): {"name": "Nightly", "scopes": ["read"]},
}


def _secret(name: str) -> str:
    return "pcs_" + name.ljust(24, "x")


def _people() -> dict[str, Identity]:
    """By the secret that each sends: one of each role, and API keys of an admin for one scope each."""
    acme = {"organization_id": "org_acme", "organization": ORGANIZATIONS["org_acme"]}
    platform = {"organization_id": "org_punchcard", "organization": "Punchcard"}
    people = {role: identity(role, user_id=f"usr_{role}", **acme) for role in CUSTOMERS}
    people |= {role: identity(role, user_id=f"usr_{role}", **platform) for role in STAFF}
    people |= {f"key_{scope}": identity("admin", user_id="usr_admin", scopes=scope, **acme) for scope in SCOPES}
    return people


class _Known:
    """Credentials that are known from the start, in place of the gateway's cache."""

    def __init__(self, store: InProcessStore) -> None:
        self._found = {digest_of(_secret(name)): (name, who) for name, who in _people().items()}
        self._store = store

    def find(self, digest: str, _fetch: Any) -> Credential:
        _, who = self._found[digest]
        user = {"id": who.user_id, "email": who.email, "name": who.name, "role": who.role, "language": who.language}
        organization = {"id": who.organization_id, "name": who.organization, "number": "1000"}
        return Credential(digest, self._store._signer.sign(who), user, organization)

    def forget(self, digest: str) -> None: ...

    def revoke(self, digest: str) -> None: ...


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    templates, folder = tmp_path_factory.mktemp("templates"), tmp_path_factory.mktemp("store")
    make_templates(templates)
    store = InProcessStore(templates, folder)
    accounts = store.services["accounts"].app
    register_organization(accounts, id="org_punchcard", number=1, name="Punchcard", platform=True)
    with store.runtimes["accounts"].database.transaction() as transaction:
        for role in (*CUSTOMERS, *STAFF):  # nobody signs in: no hash is computed
            row = {
                "id": f"usr_{role}", "organization_id": _people()[role].organization_id, "name": role, "role": role,
                "email": f"{role}@roles.example", "language": "en", "password_hash": "none",
                "created_at": transaction.now,
            }  # fmt: skip
            transaction.insert(storage.USER, row)
    settings = Settings(Opener(new_key()).public_key, Opener(new_key()).public_key)
    yield create_app(settings, store.bus, _Known(store))  # type: ignore[arg-type]  # enough of both
    store.close()


def _requests(app: Flask) -> dict[tuple[str, str], tuple[str, Any]]:
    """A request that is right in itself for each route, from the gateway's own tests: path and body."""
    folder = ROOT / "gateway/tests"
    sys.path.insert(0, str(folder))  # where its fakes are
    try:
        spec = importlib.util.spec_from_file_location("requests_of_the_gateway", folder / "test_contract.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    adapter = app.url_map.bind("localhost")
    found = {}
    for method, path, body in module.REQUESTS.values():
        rule, _ = adapter.match(path.partition("?")[0], method, return_rule=True)
        route = (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        found[route] = (path, BODIES.get(route, body))
    return found


def test_every_route_is_in_the_table_and_nothing_else(app: Flask) -> None:
    document = app.test_client().get("/openapi.json").get_json()
    routes = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item if method != "parameters"
    }
    assert set(TABLE) == routes, "say in docs/roles.md who may use it"


def test_every_route_lets_in_whom_the_table_says_and_nobody_else(app: Flask) -> None:
    """All in one test: they share a store, and a route that lets somebody in may change it."""
    requests, client, wrong = _requests(app), app.test_client(), []
    for (method, path), (roles, scope) in TABLE.items():
        target, body = requests.get((method, path), (re.sub(r"{\w+}", "unknown", path), None))
        if roles == ("anyone",):
            answer = client.open(target, method=method, json=body)
            if answer.status_code == 401 and answer.json["code"] == "unauthenticated":
                wrong.append(f"{method} {path}: nobody is let in without credentials")
            continue
        for name, who in _people().items():
            headers = {"Authorization": f"Bearer {_secret(name)}", "Idempotency-Key": name}
            answer = client.open(target, method=method, json=body, headers=headers)
            may = who.role in roles if who.scopes is None else "admin" in roles and scope in (READ, who.scopes)
            code = (answer.get_json(silent=True) or {}).get("code")
            if (answer.status_code != 403) != may or answer.status_code in (401, 500):
                wrong.append(f"{method} {path} as {name}: {answer.status_code} {code}")
            elif not may and code not in ("forbidden", "scope_missing"):
                wrong.append(f"{method} {path} as {name}: refused with {code}")
    assert not wrong, "\n".join(wrong)
