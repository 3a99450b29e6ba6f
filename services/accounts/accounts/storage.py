"""Tables and queries of accounts. It only stores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from accounts.domain.deployments import State
from accounts.domain.links import Purpose
from accounts.domain.roles import ROLES
from chassis.context import correlation_id
from chassis.persistence import Reader, Row, Transaction, UtcDateTimeColumn, add_messaging_tables, failure_table
from chassis.persistence.paging import page
from kernel.ids import new_id

#: Numbers of organisations that sign up begin behind it; those before are for whoever is registered otherwise.
_BEFORE_FIRST_NUMBER = 9999

METADATA = sa.MetaData()
add_messaging_tables(METADATA)

#: Sign-ins that were refused of late.
FAILURE = failure_table(METADATA)


def _one_of(column: str, values: Collection[str], name: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"{column} IN ({', '.join(repr(str(value)) for value in values)})", name=name)


def _one_default(purpose: str) -> sa.Index:
    """At most one address of an organisation is its default for a purpose."""
    where = sa.text(f"default_{purpose}")
    name = f"address_one_default_{purpose}"
    return sa.Index(name, "organization_id", unique=True, sqlite_where=where, postgresql_where=where)


ORGANIZATION = sa.Table(
    "organization",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False, unique=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("platform", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcDateTimeColumn, nullable=False),
    sa.Column("time_zone", sa.String(64), nullable=False, server_default="UTC"),
    sa.Column("language", sa.String(20), nullable=False, server_default="en"),
    sa.Column("tax_certificate", sa.String(64)),  # whoever has one pays no tax
)

ADDRESS = sa.Table(
    "address",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.ForeignKey("organization.id"), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("company", sa.String(200)),
    sa.Column("address", sa.String(200), nullable=False),
    sa.Column("address_2", sa.String(200)),
    sa.Column("city", sa.String(200)),
    sa.Column("state", sa.String(200)),
    sa.Column("zip", sa.String(20)),
    sa.Column("country", sa.String(2), nullable=False),
    sa.Column("default_billing", sa.Boolean, nullable=False),
    sa.Column("default_shipping", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcDateTimeColumn, nullable=False),
    sa.Column("updated_at", UtcDateTimeColumn, nullable=False),
    sa.Index("address_of_organization", "organization_id", "id"),
    _one_default("billing"),
    _one_default("shipping"),
)

USER = sa.Table(
    "user_account",  # "user" is a word of SQL
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.ForeignKey("organization.id"), nullable=False, index=True),
    sa.Column("email", sa.String(254), nullable=False, unique=True),  # normalised
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("role", sa.String(20), nullable=False),
    sa.Column("language", sa.String(20), nullable=False),
    sa.Column("password_hash", sa.String(200), nullable=False),
    sa.Column("created_at", UtcDateTimeColumn, nullable=False),
    sa.Column("deactivated_at", UtcDateTimeColumn),
    _one_of("role", ROLES, "user_account_role"),
)

SESSION = sa.Table(
    "session",
    METADATA,
    sa.Column("digest", sa.String(64), primary_key=True),  # SHA-256 of the token, hexadecimal
    sa.Column("user_id", sa.ForeignKey("user_account.id"), nullable=False, index=True),
    sa.Column("created_at", UtcDateTimeColumn, nullable=False),
    sa.Column("expires_at", UtcDateTimeColumn, nullable=False, index=True),
)

API_KEY = sa.Table(
    "api_key",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.ForeignKey("organization.id"), nullable=False, index=True),
    sa.Column("user_id", sa.ForeignKey("user_account.id"), nullable=False, index=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("last_four", sa.String(4), nullable=False),
    sa.Column("created_at", UtcDateTimeColumn, nullable=False),
    sa.Column("revoked_at", UtcDateTimeColumn),
    sa.Column("scopes", sa.String(100)),  # words with blanks in between; none for all that an admin may do
)

DEPLOYMENT = sa.Table(
    "deployment",
    METADATA,
    sa.Column("id", sa.String(12), primary_key=True),
    sa.Column("organization_id", sa.ForeignKey("organization.id"), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("name_folded", sa.Text, nullable=False),  # what searches look at; may be longer than the name
    sa.Column("registered_on", sa.Date, nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    _one_of("state", list(State), "deployment_state"),
    sa.Index("deployment_of_organization", "organization_id", "id"),
)

_PRESENT = sa.text("ended_at IS NULL")

#: Who manages whom. Rows stay when it ends: what was bought until then is still bound.
MANAGEMENT = sa.Table(
    "management",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("manager_id", sa.ForeignKey("organization.id"), nullable=False),
    sa.Column("managed_id", sa.ForeignKey("organization.id"), nullable=False),
    sa.Column("began_at", UtcDateTimeColumn, nullable=False),
    sa.Column("ended_at", UtcDateTimeColumn),
    sa.CheckConstraint("manager_id <> managed_id", name="management_of_others"),
    sa.Index("management_of_managed", "managed_id", "manager_id"),
    sa.Index(
        "management_once", "manager_id", "managed_id", unique=True, sqlite_where=_PRESENT, postgresql_where=_PRESENT
    ),
)

_OPEN_INVITATION = sa.text("purpose = 'invitation' AND ended_at IS NULL")
_TO_ISSUE = sa.text("issued_at IS NULL")

#: What a link in a mail lets its reader do, once. A row is written for whatever address is asked for; only what is
#: done with it later depends on who that is.
LINK = sa.Table(
    "link",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("purpose", sa.String(20), nullable=False),
    sa.Column("email", sa.String(254), nullable=False),  # normalised
    sa.Column("requested_at", UtcDateTimeColumn, nullable=False),
    sa.Column("correlation_id", sa.String(64), nullable=False),
    sa.Column("issued_at", UtcDateTimeColumn),  # when it was decided what to mail, if anything
    sa.Column("digest", sa.String(64), unique=True),  # SHA-256 of the token; none if there is no link after all
    sa.Column("expires_at", UtcDateTimeColumn),
    sa.Column("ended_at", UtcDateTimeColumn),  # used, withdrawn, or never good for anything
    sa.Column("name", sa.String(200)),
    sa.Column("organization_name", sa.String(200)),
    sa.Column("password_hash", sa.String(200)),
    sa.Column("language", sa.String(20)),
    sa.Column("organization_id", sa.ForeignKey("organization.id")),
    sa.Column("role", sa.String(20)),
    sa.Column("invited_by", sa.ForeignKey("user_account.id")),
    _one_of("purpose", list(Purpose), "link_purpose"),
    sa.CheckConstraint("(digest IS NULL) = (expires_at IS NULL)", name="link_expires"),
    sa.CheckConstraint(
        "purpose <> 'invitation' OR (organization_id IS NOT NULL AND role IS NOT NULL)", name="link_invitation"
    ),
    sa.CheckConstraint(
        "purpose <> 'confirmation' OR (organization_name IS NOT NULL AND password_hash IS NOT NULL)",
        name="link_confirmation",
    ),
    sa.Index("link_of_address", "email", "purpose"),
    sa.Index("link_to_issue", "id", sqlite_where=_TO_ISSUE, postgresql_where=_TO_ISSUE),
    sa.Index(
        "link_one_open_invitation", "organization_id", "email",
        unique=True, sqlite_where=_OPEN_INVITATION, postgresql_where=_OPEN_INVITATION,
    ),
)  # fmt: skip

#: Near-identical deployments that somebody may see side by side, both ways; found when one is registered or comes under
#: management, so that a search is quick. Whoever reads them must leave out what the reader may not see.
SIMILAR = sa.Table(
    "similar_deployment",
    METADATA,
    sa.Column("deployment_id", sa.ForeignKey("deployment.id"), primary_key=True),
    sa.Column("similar_id", sa.ForeignKey("deployment.id"), primary_key=True),
)

#: What is bound to deployments. Triggers refuse to change or delete a row (clause 9: a licence cannot be moved).
ENTITLEMENT = sa.Table(
    "entitlement",
    METADATA,
    sa.Column("order_line_id", sa.String(64), primary_key=True),
    sa.Column("order_id", sa.String(64), nullable=False, index=True),
    sa.Column("organization_id", sa.ForeignKey("organization.id"), nullable=False),
    sa.Column("deployment_id", sa.ForeignKey("deployment.id"), nullable=False, index=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("sku", sa.String(100), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("quantity", sa.Integer, nullable=False),
    sa.Column("bound_at", UtcDateTimeColumn, nullable=False),
    sa.Column("starts_on", sa.Date),  # the first and the last day of a contract; none: from then on, without an end
    sa.Column("ends_on", sa.Date),
    sa.CheckConstraint("ends_on >= starts_on", name="entitlement_term"),
    _one_of("kind", ("contract", "licence"), "entitlement_kind"),
    sa.CheckConstraint("quantity > 0", name="entitlement_quantity"),
)

_PERSON = (
    USER.c.id.label("user_id"),
    USER.c.email,
    USER.c.name.label("user_name"),
    USER.c.role,
    USER.c.language,
    USER.c.password_hash,
    ORGANIZATION.c.id.label("organization_id"),
    ORGANIZATION.c.name.label("organization_name"),
    ORGANIZATION.c.number.label("organization_number"),
)
_ACTIVE = USER.c.deactivated_at.is_(None)


def organization(reader: Reader, organization_id: str, *, lock: bool = False) -> Row | None:
    """An organisation; `lock` keeps other transactions that ask for the same lock out until this one ends."""
    select = sa.select(ORGANIZATION).where(ORGANIZATION.c.id == organization_id)
    return reader.one(select.with_for_update() if lock else select)


def change_organization(transaction: Transaction, organization_id: str, values: Mapping[str, Any]) -> None:
    """Write some columns of an organisation."""
    transaction.execute(sa.update(ORGANIZATION).where(ORGANIZATION.c.id == organization_id).values(**values))


def _addresses(organization_id: str) -> sa.Select[Any]:
    return sa.select(ADDRESS).where(ADDRESS.c.organization_id == organization_id)


def address(reader: Reader, organization_id: str, address_id: str) -> Row | None:
    """An address of an organisation."""
    return reader.one(_addresses(organization_id).where(ADDRESS.c.id == address_id))


def default_billing_address(reader: Reader, organization_id: str) -> Row | None:
    """The address that invoices of an organisation go to unless told otherwise."""
    return reader.one(_addresses(organization_id).where(ADDRESS.c.default_billing))


def page_of_addresses(
    reader: Reader, organization_id: str, limit: int, cursor: str | None
) -> tuple[Sequence[Row], str | None]:
    """The addresses of an organisation, newest first."""
    return page(reader, _addresses(organization_id), ADDRESS.c.id, limit, cursor)


def has_addresses(reader: Reader, organization_id: str) -> bool:
    """Whether an organisation has any address."""
    return reader.one(_addresses(organization_id).limit(1)) is not None


def clear_default_address(transaction: Transaction, organization_id: str, column: str) -> None:
    """Let no address of an organisation be its default for a purpose, `default_billing` or `default_shipping`."""
    transaction.execute(
        sa.update(ADDRESS)
        .where(ADDRESS.c.organization_id == organization_id, ADDRESS.c[column])
        .values({column: False, "updated_at": transaction.now})
    )


def add_address(transaction: Transaction, values: Mapping[str, Any]) -> None:
    """Write a new address."""
    transaction.execute(sa.insert(ADDRESS), dict(values))


def change_address(transaction: Transaction, address_id: str, values: Mapping[str, Any]) -> None:
    """Write some columns of an address."""
    transaction.execute(
        sa.update(ADDRESS).where(ADDRESS.c.id == address_id).values(**values, updated_at=transaction.now)
    )


def delete_address(transaction: Transaction, organization_id: str, address_id: str) -> bool:
    """Forget an address of an organisation; whether there was one."""
    deleted = transaction.execute(
        sa.delete(ADDRESS).where(ADDRESS.c.organization_id == organization_id, ADDRESS.c.id == address_id)
    )
    return deleted.rowcount == 1


def count_active_users(reader: Reader, organization_id: str) -> int:
    """How many users of an organisation can sign in."""
    select = sa.select(sa.func.count()).where(USER.c.organization_id == organization_id, _ACTIVE)
    return int(reader.scalar(select))


def user(reader: Reader, user_id: str, *, lock: bool = False) -> Row | None:
    """A user, active or not."""
    select = sa.select(USER).where(USER.c.id == user_id)
    return reader.one(select.with_for_update() if lock else select)


def user_by_email(reader: Reader, email: str) -> Row | None:
    """A user, active or not, by the normalised address."""
    return reader.one(sa.select(USER).where(USER.c.email == email))


def person_by_email(reader: Reader, email: str) -> Row | None:
    """An active user with the organisation, by the normalised address."""
    return reader.one(sa.select(*_PERSON).select_from(USER.join(ORGANIZATION)).where(USER.c.email == email, _ACTIVE))


def person_by_session(reader: Reader, digest: str) -> Row | None:
    """The active user of a session that has not expired, with the organisation and `expires_at`."""
    return reader.one(
        sa.select(*_PERSON, SESSION.c.expires_at, sa.null().label("scopes"))
        .select_from(SESSION.join(USER).join(ORGANIZATION))
        .where(SESSION.c.digest == digest, SESSION.c.expires_at > reader.now, _ACTIVE)
    )


def person_by_api_key(reader: Reader, digest: str) -> Row | None:
    """The active creator of an API key that was not revoked, with the organisation; `expires_at` is None."""
    return reader.one(
        sa.select(*_PERSON, sa.null().label("expires_at"), API_KEY.c.scopes)
        .select_from(
            API_KEY.join(USER, USER.c.id == API_KEY.c.user_id).join(
                ORGANIZATION, ORGANIZATION.c.id == API_KEY.c.organization_id
            )
        )
        .where(API_KEY.c.digest == digest, API_KEY.c.revoked_at.is_(None), _ACTIVE)
    )


def change_password_hash(transaction: Transaction, user_id: str, old: str, new: str) -> None:
    """Replace a password hash, unless somebody else has replaced it meanwhile."""
    transaction.execute(
        sa.update(USER).where(USER.c.id == user_id, USER.c.password_hash == old).values(password_hash=new)
    )


def page_of_users(
    reader: Reader, organization_id: str, limit: int, cursor: str | None
) -> tuple[Sequence[Row], str | None]:
    """The users of an organisation, deactivated ones too, newest first."""
    return page(reader, sa.select(USER).where(USER.c.organization_id == organization_id), USER.c.id, limit, cursor)


def count_active(reader: Reader, organization_id: str, roles: Collection[str]) -> int:
    """How many users of an organisation with one of the roles can sign in."""
    select = sa.select(sa.func.count()).where(
        USER.c.organization_id == organization_id, USER.c.role.in_(roles), _ACTIVE
    )
    return int(reader.scalar(select))


def change_user(transaction: Transaction, user_id: str, values: Mapping[str, Any]) -> None:
    """Write some columns of a user."""
    transaction.execute(sa.update(USER).where(USER.c.id == user_id).values(**values))


def revoke_keys(transaction: Transaction, user_id: str) -> list[str]:
    """Note that no API key of a user is good any more; the digests of those that were."""
    good = (API_KEY.c.user_id == user_id, API_KEY.c.revoked_at.is_(None))
    digests = [row["digest"] for row in transaction.all(sa.select(API_KEY.c.digest).where(*good))]
    transaction.execute(sa.update(API_KEY).where(*good).values(revoked_at=transaction.now))
    return digests


def set_password_hash(transaction: Transaction, user_id: str, password_hash: str) -> None:
    """Give a user a new password."""
    transaction.execute(sa.update(USER).where(USER.c.id == user_id).values(password_hash=password_hash))


def session(reader: Reader, digest: str) -> Row | None:
    """A session, expired or not."""
    return reader.one(sa.select(SESSION).where(SESSION.c.digest == digest))


def end_session(transaction: Transaction, digest: str, user_id: str) -> bool:
    """Forget a session of a user; whether there was one."""
    ended = transaction.execute(sa.delete(SESSION).where(SESSION.c.digest == digest, SESSION.c.user_id == user_id))
    return ended.rowcount == 1


def end_sessions(transaction: Transaction, user_id: str) -> None:
    """Forget all sessions of a user."""
    transaction.execute(sa.delete(SESSION).where(SESSION.c.user_id == user_id))


def delete_expired_sessions(transaction: Transaction) -> int:
    """Forget the sessions that have expired; how many there were."""
    return transaction.execute(sa.delete(SESSION).where(SESSION.c.expires_at <= transaction.now)).rowcount


def api_key(reader: Reader, key_id: str, organization_id: str) -> Row | None:
    """An API key of an organisation, revoked or not."""
    return reader.one(sa.select(API_KEY).where(API_KEY.c.id == key_id, API_KEY.c.organization_id == organization_id))


def api_key_by_digest(reader: Reader, digest: str) -> Row | None:
    """An API key, revoked or not."""
    return reader.one(sa.select(API_KEY).where(API_KEY.c.digest == digest))


def page_of_api_keys(
    reader: Reader, organization_id: str, limit: int, cursor: str | None
) -> tuple[Sequence[Row], str | None]:
    """The API keys of an organisation that are not revoked, newest first."""
    select = sa.select(API_KEY).where(API_KEY.c.organization_id == organization_id, API_KEY.c.revoked_at.is_(None))
    return page(reader, select, API_KEY.c.id, limit, cursor)


def revoke_api_key(transaction: Transaction, key_id: str) -> bool:
    """Note that an API key is not good any more; False if that was so before."""
    revoked = transaction.execute(
        sa.update(API_KEY)
        .where(API_KEY.c.id == key_id, API_KEY.c.revoked_at.is_(None))
        .values(revoked_at=transaction.now)
    )
    return revoked.rowcount == 1


def _managed_by(organization_id: str, *, ever: bool = False) -> sa.Select[Any]:
    select = sa.select(MANAGEMENT.c.managed_id).where(MANAGEMENT.c.manager_id == organization_id)
    return select if ever else select.where(MANAGEMENT.c.ended_at.is_(None))


def _seen_by(organization_id: str, *, ever: bool = False) -> sa.ColumnElement[bool]:
    """Deployments of an organisation and of those that it manages (or, `ever`, has managed)."""
    return sa.or_(
        DEPLOYMENT.c.organization_id == organization_id,
        DEPLOYMENT.c.organization_id.in_(_managed_by(organization_id, ever=ever)),
    )


def _deployments(organization_id: str, *, ever: bool = False) -> sa.Select[Any]:
    return (
        sa.select(
            DEPLOYMENT, ORGANIZATION.c.name.label("organization_name"), sa.literal(organization_id).label("seen_by")
        )
        .select_from(DEPLOYMENT.join(ORGANIZATION))
        .where(_seen_by(organization_id, ever=ever))
    )


def deployments(reader: Reader, organization_id: str, ids: Collection[str], *, ever: bool = False) -> Sequence[Row]:
    """Those of the named deployments that the organisation owns or manages (or, `ever`, has managed), by id."""
    select = _deployments(organization_id, ever=ever)
    return reader.all(select.where(DEPLOYMENT.c.id.in_(ids)).order_by(DEPLOYMENT.c.id))


def deployment(reader: Reader, deployment_id: str, *, lock: bool = False) -> Row | None:
    """A deployment, whoever owns it."""
    select = sa.select(DEPLOYMENT).where(DEPLOYMENT.c.id == deployment_id)
    return reader.one(select.with_for_update() if lock else select)


def change_deployment(transaction: Transaction, deployment_id: str, values: Mapping[str, Any]) -> None:
    """Write some columns of a deployment."""
    transaction.execute(sa.update(DEPLOYMENT).where(DEPLOYMENT.c.id == deployment_id).values(**values))


def lock_term(transaction: Transaction, deployment_id: str, sku: str) -> date | None:
    """The last day for which a contract of a product is bound to a deployment; None if there is none with an end.

    Nobody else binds to the deployment until the transaction ends.
    """
    deployment(transaction, deployment_id, lock=True)
    last_day: date | None = transaction.scalar(
        sa.select(sa.func.max(ENTITLEMENT.c.ends_on)).where(
            ENTITLEMENT.c.deployment_id == deployment_id, ENTITLEMENT.c.sku == sku, ENTITLEMENT.c.kind == "contract"
        )
    )
    return last_day


def entitlements(reader: Reader, deployment_id: str) -> Sequence[Row]:
    """What is bound to a deployment, oldest first."""
    select = sa.select(ENTITLEMENT).where(ENTITLEMENT.c.deployment_id == deployment_id)
    return reader.all(select.order_by(ENTITLEMENT.c.bound_at, ENTITLEMENT.c.order_line_id))


def deployment_names(reader: Reader, organization_ids: Collection[str]) -> list[tuple[str, str]]:
    """(id, name) of all deployments of some organisations."""
    select = sa.select(DEPLOYMENT.c.id, DEPLOYMENT.c.name).where(DEPLOYMENT.c.organization_id.in_(organization_ids))
    return [(row["id"], row["name"]) for row in reader.all(select)]


def managers(reader: Reader, organization_id: str) -> list[str]:
    """The organisations that manage this one, by id."""
    select = sa.select(MANAGEMENT.c.manager_id).where(
        MANAGEMENT.c.managed_id == organization_id, MANAGEMENT.c.ended_at.is_(None)
    )
    return [row["manager_id"] for row in reader.all(select.order_by(MANAGEMENT.c.manager_id))]


def managed(reader: Reader, organization_id: str) -> list[str]:
    """The organisations that this one manages, by id."""
    return [row["managed_id"] for row in reader.all(_managed_by(organization_id).order_by(MANAGEMENT.c.managed_id))]


def page_of_managed(
    reader: Reader, organization_id: str, limit: int, cursor: str | None
) -> tuple[Sequence[Row], str | None]:
    """The organisations that this one manages, newest first."""
    select = sa.select(ORGANIZATION).where(ORGANIZATION.c.id.in_(_managed_by(organization_id)))
    return page(reader, select, ORGANIZATION.c.id, limit, cursor)


def page_of_organizations(
    reader: Reader, words: str, limit: int, cursor: str | None
) -> tuple[Sequence[Row], str | None]:
    """Organisations whose number or id is this, or whose name contains it in any case; newest first."""
    found = sa.or_(
        sa.func.lower(ORGANIZATION.c.name).contains(words.lower(), autoescape=True),
        ORGANIZATION.c.id == words,
        sa.cast(ORGANIZATION.c.number, sa.String) == words,
    )
    return page(reader, sa.select(ORGANIZATION).where(found), ORGANIZATION.c.id, limit, cursor)


def add_management(transaction: Transaction, manager_id: str, managed_id: str) -> bool:
    """Let one organisation manage another; False if it does."""
    row = {
        "id": new_id("mng"), "manager_id": manager_id, "managed_id": managed_id, "began_at": transaction.now,
    }  # fmt: skip
    if managed_id in managed(transaction, manager_id):
        return False
    transaction.insert(MANAGEMENT, row)
    return True


def end_management(transaction: Transaction, manager_id: str, managed_id: str) -> bool:
    """Let it end; False if it does not manage it."""
    ended = transaction.execute(
        sa.update(MANAGEMENT)
        .where(
            MANAGEMENT.c.manager_id == manager_id, MANAGEMENT.c.managed_id == managed_id,
            MANAGEMENT.c.ended_at.is_(None),
        )
        .values(ended_at=transaction.now)
    )  # fmt: skip
    return ended.rowcount == 1


def page_of_deployments(
    reader: Reader, organization_id: str, words: str, limit: int, cursor: str | None
) -> tuple[Sequence[Row], str | None]:
    """The organisation's deployments whose id begins with the folded words, or whose name contains them; by id.

    `autoescape` makes plain characters of ``%`` and ``_``.
    """
    found = sa.or_(
        DEPLOYMENT.c.id.startswith(words, autoescape=True), DEPLOYMENT.c.name_folded.contains(words, autoescape=True)
    )
    select = _deployments(organization_id).where(found)
    return page(reader, select, DEPLOYMENT.c.id, limit, cursor, newest_first=False)


def page_of_entitlements(reader: Reader, limit: int, cursor: str | None) -> tuple[Sequence[Row], str | None]:
    """The entitlements of all organisations, newest order line first."""
    select = sa.select(ENTITLEMENT.c.order_line_id, ENTITLEMENT.c.order_id)
    return page(reader, select, ENTITLEMENT.c.order_line_id, limit, cursor)


def contracts_of(reader: Reader, deployment_id: str) -> Sequence[Row]:
    """The contracts that are bound to a deployment, oldest first."""
    columns = ("sku", "name", "bound_at", "starts_on", "ends_on")
    select = sa.select(*(ENTITLEMENT.c[name] for name in columns)).where(
        ENTITLEMENT.c.deployment_id == deployment_id, ENTITLEMENT.c.kind == "contract"
    )
    return reader.all(select.order_by(ENTITLEMENT.c.bound_at, ENTITLEMENT.c.order_line_id))


def similar_ids(reader: Reader, deployment_ids: Collection[str], seen_by: str) -> Mapping[str, list[str]]:
    """For each of the deployments, the ids of its look-alikes that an organisation may see, in order."""
    select = (
        sa.select(SIMILAR)
        .select_from(SIMILAR.join(DEPLOYMENT, DEPLOYMENT.c.id == SIMILAR.c.similar_id))
        .where(SIMILAR.c.deployment_id.in_(deployment_ids), _seen_by(seen_by))
        .order_by(SIMILAR.c.similar_id)
    )
    found: dict[str, list[str]] = defaultdict(list)
    for row in reader.all(select):
        found[row["deployment_id"]].append(row["similar_id"])
    return found


def add_similar(transaction: Transaction, pairs: Collection[tuple[str, str]]) -> None:
    """Note which deployments look alike; pairs that are known stay."""
    for one, other in pairs:
        for row in ({"deployment_id": one, "similar_id": other}, {"deployment_id": other, "similar_id": one}):
            transaction.insert_new(SIMILAR, row)


def add_session(transaction: Transaction, digest: str, user_id: str, expires_at: datetime) -> bool:
    """Begin a session; False if the digest is in use."""
    return transaction.insert_new(
        SESSION, {"digest": digest, "user_id": user_id, "created_at": transaction.now, "expires_at": expires_at}
    )


def add_link(transaction: Transaction, purpose: Purpose, email: str, values: Mapping[str, Any]) -> str:
    """Note that somebody wants a link; what becomes of that is decided later. Its id."""
    link_id = new_id("lnk")
    row = {
        "id": link_id, "purpose": str(purpose), "email": email, "requested_at": transaction.now,
        "correlation_id": correlation_id(), **values,
    }  # fmt: skip
    transaction.insert(LINK, row)
    return link_id


def links_to_issue(transaction: Transaction, limit: int) -> Sequence[Row]:
    """Links that nobody has decided about, oldest first; locked, without those that another process has locked."""
    select = sa.select(LINK).where(LINK.c.issued_at.is_(None), LINK.c.ended_at.is_(None))
    return transaction.all(select.order_by(LINK.c.id).limit(limit).with_for_update(skip_locked=True))


def change_link(transaction: Transaction, link_id: str, values: Mapping[str, Any]) -> None:
    """Write some columns of a link."""
    transaction.execute(sa.update(LINK).where(LINK.c.id == link_id).values(**values))


def good_link(reader: Reader, purpose: Purpose, digest: str, *, lock: bool = False) -> Row | None:
    """The link with that token, if it is still good; `lock` lets one transaction use it."""
    select = sa.select(LINK).where(
        LINK.c.digest == digest, LINK.c.purpose == str(purpose), LINK.c.ended_at.is_(None),
        LINK.c.expires_at > reader.now,
    )  # fmt: skip
    return reader.one(select.with_for_update() if lock else select)


def end_links(transaction: Transaction, purpose: Purpose, email: str) -> None:
    """Let no link of that purpose for the address be good any more."""
    transaction.execute(
        sa.update(LINK)
        .where(LINK.c.purpose == str(purpose), LINK.c.email == email, LINK.c.ended_at.is_(None))
        .values(ended_at=transaction.now)
    )


def _open_invitations(organization_id: str) -> sa.Select[Any]:
    return sa.select(LINK).where(
        LINK.c.purpose == str(Purpose.INVITATION), LINK.c.organization_id == organization_id, LINK.c.ended_at.is_(None)
    )


def page_of_invitations(
    reader: Reader, organization_id: str, limit: int, cursor: str | None
) -> tuple[Sequence[Row], str | None]:
    """The invitations of an organisation that were neither accepted nor withdrawn, newest first."""
    return page(reader, _open_invitations(organization_id), LINK.c.id, limit, cursor)


def open_invitations(
    reader: Reader, organization_id: str, *, email: str | None = None, link_id: str | None = None
) -> Sequence[Row]:
    """Those of them for an address, or the one with that id."""
    select = _open_invitations(organization_id)
    if email is not None:
        select = select.where(LINK.c.email == email)
    if link_id is not None:
        select = select.where(LINK.c.id == link_id)
    return reader.all(select)


def add_organization(transaction: Transaction, name: str, language: str) -> str:
    """Begin a customer's organisation under the next number; its id."""
    organization_id = new_id("org")
    while True:  # until nobody else takes the number at the same time; each round somebody gets one
        highest = transaction.scalar(sa.select(sa.func.max(ORGANIZATION.c.number))) or 0
        row = {
            "id": organization_id, "number": max(highest, _BEFORE_FIRST_NUMBER) + 1, "name": name, "platform": False,
            "created_at": transaction.now, "language": language,
        }  # fmt: skip
        if transaction.insert_new(ORGANIZATION, row):
            return organization_id


def session_digests(reader: Reader, user_id: str) -> list[str]:
    """The digests of a user's sessions."""
    return [row["digest"] for row in reader.all(sa.select(SESSION.c.digest).where(SESSION.c.user_id == user_id))]
