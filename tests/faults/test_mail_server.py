"""The mail server is away for an hour, or takes a mail and is gone before it can say so."""

from __future__ import annotations

import random
from collections import Counter

import pytest
import sqlalchemy as sa
from harness.faulty import FaultyStore, assert_nothing_broken
from harness.load import Load
from harness.proxy import TO_SERVER, Proxy

from chassis.testing import wait_until
from punchcard.mailbox.folder import Mail, MailFolder

pytestmark = pytest.mark.journey

_END_OF_DATA = b"\r\n.\r\n"


def _arrivals(faulty: FaultyStore) -> list[Mail]:
    """Every mail as often as it came."""
    return MailFolder(faulty.folder / "mail").mails()


def test_while_it_is_away_for_an_hour_purchases_go_on_and_no_mail_is_lost(
    faulty: FaultyStore, rng: random.Random
) -> None:
    before = {mail.id for mail in _arrivals(faulty)}
    with faulty.away("mailbox"):
        with Load(faulty, rng) as load:
            load.wait_answered(3)
        tried = "SELECT count(*) FROM deliveries WHERE state = 'queued' AND attempts > 0"
        wait_until(lambda: faulty.rows("notifications", tried)[0][0] > 0, "a mail to be tried", 60)
        with faulty.database("notifications") as connection:  # an hour has gone by, as far as it can tell
            hour_ago = "UPDATE deliveries SET queued_at = queued_at - interval '1 hour' WHERE state = 'queued'"
            connection.execute(sa.text(hour_ago))
        assert faulty.rows("notifications", "SELECT count(*) FROM deliveries WHERE state = 'failed'") == [(0,)]
    load.assert_kept()
    assert max(Counter(mail.message_id for mail in _arrivals(faulty) if mail.id not in before).values()) == 1


def test_cut_after_a_mail_was_handed_over_it_comes_twice_at_most_under_one_id(
    faulty: FaultyStore, rng: random.Random
) -> None:
    before = {mail.id for mail in _arrivals(faulty)}
    port = int(faulty.address_of("notifications", "NOTIFICATIONS_SMTP_URL").rpartition(":")[2])
    with Proxy(port) as proxy:
        faulty.relaunch("notifications", NOTIFICATIONS_SMTP_URL=f"smtp://127.0.0.1:{proxy.port}")
        proxy.cut_on(_END_OF_DATA, TO_SERVER, passes=True)
        with Load(faulty, rng) as load:
            load.wait_answered(2)
            proxy.wait_cut()
        proxy.heal()
        load.assert_kept()
        faulty.relaunch("notifications")
    came = Counter(mail.message_id for mail in _arrivals(faulty) if mail.id not in before)
    assert set(came.values()) <= {1, 2}
    assert list(came.values()).count(2) <= proxy.cuts == 1
    assert_nothing_broken(faulty)
