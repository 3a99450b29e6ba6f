"""The demo's organisations, users, deployments and catalogue, written through the services' own use cases."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from accounts.bootstrap import bootstrap as accounts_app
from accounts.use_cases.register_address import register_address
from accounts.use_cases.register_api_key import register_api_key
from accounts.use_cases.register_deployment import register_deployment
from accounts.use_cases.register_management import register_management
from accounts.use_cases.register_organization import register_organization
from accounts.use_cases.register_user import register_user
from catalog.bootstrap import bootstrap as catalog_app
from catalog.use_cases.import_catalogue import demo_catalogue, import_catalogue
from chassis.service import Runtime
from chassis.settings import Environment
from payments.offline_provider import PROVIDER_TOKENS

#: Good for a store that listens on loopback only and holds nothing of value.
PASSWORD = "punchcard-demo"  # noqa: S105  # a demo's

#: Where the money of a demo's buyers goes. The IBAN is the one that its inventors explain it with.
REMITTANCES = {
    "PAYMENTS_ISSUER_NAME": "Punchcard Support (demo)",
    "PAYMENTS_ISSUER_ADDRESS": "1 Example Street\nLondon EC1A 1AA\nUnited Kingdom",
    "PAYMENTS_ISSUER_TAX_NUMBER": "GB 000 0000 00",
    "PAYMENTS_WIRE_BENEFICIARY": "Punchcard Support (demo)",
    "PAYMENTS_WIRE_ACCOUNT": "GB82 WEST 1234 5698 7654 32",
    "PAYMENTS_WIRE_BANK": "Example Bank, London",
    "PAYMENTS_WIRE_BIC": "WESTGB2LXXX",
    "PAYMENTS_CHECK_PAYABLE_TO": "Punchcard Support (demo)",
    "PAYMENTS_CHECK_ADDRESS": "Punchcard Support, Accounts Receivable, 1 Example Street, Springfield",
}

_ORGANIZATIONS = (
    ("org_acme", 1003, "Acme Telephony", False),
    ("org_globex", 1004, "Globex Clinics", False),
    ("org_initech", 1005, "Initech Resale", False),
    ("org_umbrella", 1006, "Umbrella Foods", False),
    ("org_hooli", 1007, "Hooli Freight", False),
    ("org_punchcard", 1, "Punchcard Support", True),
)


@dataclass(frozen=True)
class DemoUser:
    """Somebody who can sign in to the demo."""

    id: str
    email: str
    name: str
    role: str
    organization_id: str


USERS = (
    DemoUser("usr_ada", "ada@acme.example", "Ada Archer", "buyer", "org_acme"),
    DemoUser("usr_alan", "alan@acme.example", "Alan Abel", "admin", "org_acme"),
    DemoUser("usr_grace", "grace@globex.example", "Grace Gray", "buyer", "org_globex"),
    DemoUser("usr_gus", "gus@globex.example", "Gus Gold", "admin", "org_globex"),
    DemoUser("usr_rita", "rita@initech.example", "Rita Reed", "buyer", "org_initech"),
    DemoUser("usr_rob", "rob@initech.example", "Rob Reyes", "admin", "org_initech"),
    DemoUser("usr_uma", "uma@umbrella.example", "Uma Underhill", "admin", "org_umbrella"),
    DemoUser("usr_hal", "hal@hooli.example", "Hal Hunt", "admin", "org_hooli"),
    DemoUser("usr_fay", "fay@punchcard.example", "Fay Finch", "finance", "org_punchcard"),
    DemoUser("usr_sam", "sam@punchcard.example", "Sam Stone", "support", "org_punchcard"),
)
#: A reseller, and whom it buys for.
_MANAGED = (("org_initech", "org_umbrella"), ("org_initech", "org_hooli"))
#: What a checkout is billed to unless it says otherwise.
_ADDRESSES = (
    ("adr_acme", "org_acme", {"name": "Alan Abel", "company": "Acme Telephony", "address": "1 Main Street",
                              "city": "Albany", "state": "NY", "zip": "12207", "country": "US"}),
)  # fmt: skip
_DEPLOYMENTS = (
    ("14181336", "org_acme", "Acme Head Office", date(2017, 6, 15)),
    ("14181363", "org_acme", "Acme Head Office 2", date(2018, 2, 1)),
    ("20770112", "org_acme", "Acme Warehouse", date(2021, 9, 30)),
    ("30550007", "org_globex", "Globex Clinic North", date(2020, 3, 12)),
    ("41200310", "org_umbrella", "Umbrella Cold Store", date(2019, 11, 4)),
    ("41200301", "org_hooli", "Hooli Depot", date(2022, 5, 23)),
)


def write(environment: Mapping[str, str], demo_file: Path, base_url: str, **more: str) -> dict[str, Any]:
    """Write the demo data where it is missing, and what a person needs to use it into `demo_file`.

    Args:
        environment: of accounts and catalog; their databases are migrated.
        demo_file: kept from start to start, since only it holds the API key.
        base_url: where the store answers.
        more: further addresses for the file (``provider_url``, ``mail_url``).

    Returns:
        What stands in the file.
    """
    kept = json.loads(demo_file.read_text()) if demo_file.exists() else {}
    keys = kept.get("api_keys") or [
        {"key": "pck_" + secrets.token_urlsafe(32), "role": "admin", "organization_id": "org_acme",
         "organization": "Acme Telephony"}
    ]  # fmt: skip
    _register(environment, keys[0]["key"])
    names = {identifier: name for identifier, _, name, _ in _ORGANIZATIONS}
    demo = {
        "base_url": base_url,
        "users": [
            {"email": user.email, "password": PASSWORD, "role": user.role, "organization_id": user.organization_id,
             "organization": names[user.organization_id]}
            for user in USERS
        ],
        "api_keys": keys,
        "provider_tokens": dict(PROVIDER_TOKENS),
        **more,
    }  # fmt: skip
    demo_file.touch(mode=0o600)
    demo_file.write_text(json.dumps(demo, indent=2) + "\n")
    return demo


def _register(environment: Mapping[str, str], api_key: str) -> None:
    runtime = Runtime.read("accounts", Environment(environment))
    accounts = accounts_app(runtime)
    for identifier, number, name, platform in _ORGANIZATIONS:
        register_organization(accounts, id=identifier, number=number, name=name, platform=platform)
    for user in USERS:
        register_user(
            accounts, organization_id=user.organization_id, email=user.email, name=user.name, password=PASSWORD,
            role=user.role, id=user.id,
        )  # fmt: skip
    for identifier, organization, address in _ADDRESSES:
        register_address(accounts, id=identifier, organization_id=organization, address=address)
    for identifier, organization, name, registered in _DEPLOYMENTS:
        register_deployment(accounts, id=identifier, organization_id=organization, name=name, registered_on=registered)
    for manager, managed in _MANAGED:
        register_management(accounts, manager_id=manager, managed_id=managed)
    register_api_key(
        accounts, id="key_demo", user_id="usr_alan", name="Demo key",
        digest=hashlib.sha256(api_key.encode()).hexdigest(), last_four=api_key[-4:],
    )  # fmt: skip
    runtime.database.close()
    runtime = Runtime.read("catalog", Environment(environment))
    import_catalogue(catalog_app(runtime), demo_catalogue())
    runtime.database.close()
