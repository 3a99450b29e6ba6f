"""Every mail that the store sends, as files one can open: ``make mails``.

The real notifications service, on a database of its own, is handed the producers' example of each event that causes a
mail; what it sends is written down. So a mail that nobody previews does not exist, and neither does a preview of none.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from email.headerregistry import Address
from importlib import import_module
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from jinja2 import Environment, PackageLoader, select_autoescape
from marshmallow import Schema, validate

from chassis.messages import Event
from chassis.persistence import Database
from chassis.persistence.migrations import migrate
from chassis.sealing import Opener, Sealer, new_key
from chassis.service import Consume, entrypoints
from kernel.ids import new_id
from notifications.bootstrap import App
from notifications.rendering import Renderer
from notifications.service import NotificationsService
from notifications.storage import DELIVERY
from notifications.transports import FolderTransport
from notifications.use_cases.send_mails import send_mails
from punchcard.mailbox.folder import Mail, MailFolder
from punchcard.parts import SERVICES

#: What the examples seal for notifications: a claim code, a token.
_SECRET = "7K2M-Q9TX-04HB-ZZ5V-W8YN-3"  # noqa: S105  # of no card


def preview(folder: Path, public_url: str = "https://store.punchcard.example") -> list[Path]:
    """Write each kind of mail as text and as HTML, and a page that lists them.

    Args:
        folder: where to; made if missing. Mails of an earlier run are replaced.
        public_url: where links in mails lead.

    Returns:
        The page, then the files it lists.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for stale in (*folder.glob("*.txt"), *folder.glob("*.html")):
        stale.unlink()
    with tempfile.TemporaryDirectory() as scratch:
        mails = _send_examples(Path(scratch), public_url)
    written = []
    for kind, mail in mails:
        for ending, body in (("txt", mail.text), ("html", mail.html)):
            file = folder / f"{kind}.{ending}"
            file.write_text(body, encoding="utf-8")
            written.append(file)
    templates = Environment(loader=PackageLoader("punchcard.mailbox"), autoescape=select_autoescape())
    page = folder / "index.html"
    page.write_text(templates.get_template("preview.html").render(mails=mails), encoding="utf-8")
    return [page, *written]


def _send_examples(scratch: Path, public_url: str) -> list[tuple[str, Mail]]:
    """Each kind of mail, in the order of their names."""
    opener = Opener(new_key())
    database = Database(f"sqlite:///{scratch / 'notifications.db'}")
    try:
        migrate(database, "notifications")
        service: Any = NotificationsService()  # nameko hands it an `app`; here it is set
        service.app = App(
            database=database,
            renderer=Renderer(Address("Punchcard", addr_spec="store@punchcard.example"), public_url),
            opener=opener,
            transport=FolderTransport(scratch / "mail"),
            wake_sender=lambda: None,
            message_id_domain="punchcard.example",
        )
        for method, entrypoint in entrypoints(NotificationsService, Consume).items():
            for event in _examples(entrypoint, Sealer(opener.public_key)):
                getattr(service, method)([event])
        send_mails(service.app)
        with database.reading() as reader:
            kinds = {row["message_id"]: row["kind"] for row in reader.all(sa.select(DELIVERY))}
    finally:
        database.close()
    found = [(kinds[mail.message_id], mail) for mail in MailFolder(scratch / "mail").mails()]
    unsent = set(kinds.values()) - {kind for kind, _ in found}
    if unsent:
        raise RuntimeError(f"not sent: {', '.join(sorted(unsent))}")
    return sorted(found, key=lambda one: one[0])


def _examples(entrypoint: Any, sealer: Sealer) -> Iterator[Event]:
    """The producer's example of the event, as its consumer gets it, with something to open where it is sealed."""
    producer = entrypoint.event.partition(".")[0]
    if producer not in SERVICES:
        raise RuntimeError(f"nobody emits {entrypoint.event}")
    for event_type in import_module(f"{producer}.messages").EVENTS:
        if event_type.name == entrypoint.event:
            example = {
                name: sealer.seal(_SECRET) if name.startswith("sealed_") else value
                for name, value in event_type.example.items()
            }
            for variant in _variants(entrypoint.schema, example):
                data = entrypoint.schema.load(variant)
                yield Event(new_id("evt"), event_type.name, datetime.now(UTC), data, f"preview of {event_type.name}")


def _variants(schema: Schema, example: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The example for each purpose, where an event says which mail it is for."""
    purpose = schema.fields.get("purpose")
    if purpose is None:
        yield example
        return
    (choice,) = (each for each in purpose.validators if isinstance(each, validate.OneOf))
    for value in choice.choices:
        yield {**example, "purpose": value}
