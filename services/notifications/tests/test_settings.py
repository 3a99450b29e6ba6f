"""What the environment may say."""

from __future__ import annotations

import pytest

from chassis.sealing import new_key
from chassis.settings import Environment, SettingsError
from notifications.settings import MailServer, read

GOOD = {
    "NOTIFICATIONS_SMTP_URL": "smtp://mail.example",
    "NOTIFICATIONS_SENDER": "Punchcard Store <store@punchcard.example>",
    "PUNCHCARD_PUBLIC_URL": "https://store.punchcard.example/",
    "NOTIFICATIONS_SEALING_KEY": new_key(),
}


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example", MailServer("smtp", "mail.example", 25)),
        ("smtp://mail.example:2525", MailServer("smtp", "mail.example", 2525)),
        ("smtps://u%40x:p%2Fw@mail.example", MailServer("smtps", "mail.example", 465, "u@x", "p/w")),
        ("smtp+starttls://u:p@mail.example", MailServer("smtp+starttls", "mail.example", 587, "u", "p")),
        ("folder:///var/mail/a%20b", MailServer("folder", path="/var/mail/a b")),
    ],
)
def test_mail_servers(url: str, server: MailServer) -> None:
    assert read(Environment({**GOOD, "NOTIFICATIONS_SMTP_URL": url})).mail_server == server


def test_the_public_url_has_no_slash_at_the_end() -> None:
    assert read(Environment(GOOD)).public_url == "https://store.punchcard.example"


def test_secrets_are_not_in_the_settings_as_text() -> None:
    text = repr(read(Environment({**GOOD, "NOTIFICATIONS_SMTP_URL": "smtps://u:s3cret@mail.example"})))
    assert "s3cret" not in text
    assert GOOD["NOTIFICATIONS_SEALING_KEY"] not in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[
            ("NOTIFICATIONS_SMTP_URL", url)
            for url in ("http://mail.example", "mail.example", "smtp://", "smtp://mail.example:hello:s3cret",
                        "smtp://mail.example:99999", "folder://mail", "folder:///", "ftp://u:s3cret@mail.example")
        ],
        *[
            ("NOTIFICATIONS_SENDER", sender)
            for sender in ("Punchcard", "store@", "@x.example", "störe@x.example", "a@x example",
                           "a@x.example\r\nBcc: b@x.example")
        ],
        *[("PUNCHCARD_PUBLIC_URL", url) for url in ("store.example", "ftp://store.example", "https://s.example/?x=1")],
        ("NOTIFICATIONS_SMTP_TIMEOUT_S", "soon"),
        ("NOTIFICATIONS_SMTP_TIMEOUT_S", "0"),
        ("NOTIFICATIONS_SEALING_KEY", "0" * 64),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        read(Environment({**GOOD, name: value}))
    assert "s3cret" not in str(caught.value)


def test_everything_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        read(Environment({}))
    assert all(name in str(caught.value) for name in GOOD)
