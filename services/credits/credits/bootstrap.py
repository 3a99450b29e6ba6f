"""What the use cases are handed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from chassis.persistence import Database, Throttle
from chassis.sealing import Opener, Sealer
from chassis.service import Runtime
from credits import settings
from credits.clients import Accounts
from credits.storage.tables import FAILURE


@dataclass
class App:
    """The parts of a running credits service.

    Args:
        database: the ledger and the cards.
        opener: opens the claim codes that the gateway sealed for credits.
        sealer: seals the claim codes for notifications, which mails them.
        code_pepper: the HMAC key under which claim codes are kept.
        card_validity: from the issue of a card to its expiry; None: cards do not expire.
        card_reminder: how long before its expiry the buyer of an unclaimed card is reminded; None: not at all.
        credits_valid_days: how long credits can be used whose product does not say it; 0: for ever.
        throttle: counts claims and previews that were refused.
        accounts: knows which organisations there are.
    """

    database: Database
    opener: Opener = field(repr=False)
    sealer: Sealer = field(repr=False)
    code_pepper: bytes = field(repr=False)
    card_validity: timedelta | None
    card_reminder: timedelta | None
    credits_valid_days: int
    throttle: Throttle
    accounts: Accounts


def bootstrap(runtime: Runtime) -> App:
    """Put the parts together.

    Raises:
        SettingsError: the environment lacks something.
    """
    found = settings.read(runtime.environment)
    return App(
        database=runtime.database,
        opener=Opener(found.sealing_key),
        sealer=Sealer(found.notifications_sealing_public_key),
        code_pepper=found.code_pepper,
        card_validity=found.card_validity,
        card_reminder=found.card_reminder,
        credits_valid_days=found.credits_valid_days,
        throttle=Throttle(FAILURE, found.claim_failures),
        accounts=Accounts(runtime.rpc),
    )
