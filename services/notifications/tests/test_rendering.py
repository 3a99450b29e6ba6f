"""What the mails say, and that nobody can make them say something else."""

from __future__ import annotations

from collections.abc import Callable
from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any

import pytest
from jinja2 import ChoiceLoader, DictLoader, PackageLoader

from chassis.testing import FixedClock
from notifications.domain.deliveries import MailKind
from notifications.mail import BadAddress
from notifications.messages import PAYLOADS, recipient_of
from notifications.rendering import Renderer

LINK_TOKEN = "k5Rz0yqk6mC2nWQJ1h7i3sVt9bXe4uLdFgPoAaNcEyM"
CLAIM_CODE = "7K2M-Q9TX-04HB-ZZ5V-W8YN-3"
Examples = dict[MailKind, dict[str, Any]]
Render = Callable[..., EmailMessage]


@pytest.fixture
def render(renderer: Renderer, examples: Examples) -> Render:
    """Call it with a kind of mail to get it as a mail program reads it: through bytes and back."""

    def make(kind: MailKind, *, using: Renderer = renderer, language: str = "en", **changes: Any) -> EmailMessage:
        data = PAYLOADS[kind].load({**examples[kind], **changes})
        if "sealed_code" in data:
            del data["sealed_code"]
            data["claim_code"] = CLAIM_CODE
        if data.get("sealed_token"):
            del data["sealed_token"]
            data["token"] = LINK_TOKEN
        mail = using.render(
            kind,
            language=language,
            recipient=recipient_of(data)["email"],
            data=data,
            message_id="<dlv_1@punchcard.example>",
            correlation_id="cor_1",
            written_at=FixedClock().now(),
        )
        return message_from_bytes(mail.content, policy=policy.default)

    return make


def text_of(message: EmailMessage) -> str:
    return message.get_body(("plain",)).get_content().replace("\r\n", "\n")


def html_of(message: EmailMessage) -> str:
    return message.get_body(("html",)).get_content()


def test_card_mail(render: Render) -> None:
    mail = render(MailKind.CARD)
    lines = text_of(mail).splitlines()

    assert "Card number: SCC-7K2M-Q9TX-04HB" in lines
    assert f"Claim code: {CLAIM_CODE}" in lines
    assert "Credits: 300 (1 credit is 1 minute of support)" in lines
    assert "Order number: O-1001" in lines
    assert "Expires: 22 November 2027 (UTC)" in lines
    assert "How to claim it" in lines
    assert "whoever has both the card number and the claim code can claim the card" in text_of(mail)
    for part in ("SCC-7K2M-Q9TX-04HB", CLAIM_CODE, "300", "O-1001", "22 November 2027", "whoever has both"):
        assert part in html_of(mail)
    assert mail["Subject"] == "Your support credit card: 300 credits (order O-1001)"


def test_mail_with_a_new_code(render: Render) -> None:
    mail = render(MailKind.CARD_REISSUED)

    assert f"Claim code: {CLAIM_CODE}" in text_of(mail).splitlines()
    for part in (CLAIM_CODE, "SCC-7K2M-Q9TX-04HB", "The code that we sent you before is not good any more"):
        assert part in html_of(mail)
        assert part in text_of(mail)
    assert mail["Subject"] == "A new claim code for your support credit card (order O-1001)"
    assert "The code that we sent you before" not in text_of(render(MailKind.CARD))


def test_reminder_of_a_card(render: Render) -> None:
    mail = render(MailKind.CARD_EXPIRING)

    assert mail["Subject"] == "Your support credit card SCC-****-****-04HB expires on 22 November 2027"
    assert "Credits: 300" in text_of(mail).splitlines()
    for part in ("SCC-****-****-04HB", "300", "22 November 2027", "O-1001"):
        assert part in html_of(mail)


def test_mail_about_a_low_balance(render: Render) -> None:
    mail = render(MailKind.BALANCE_LOW)

    assert mail["Subject"] == "Acme has 45 support credits left"
    assert "Credits left: 45 (1 credit is 1 minute of support)" in text_of(mail).splitlines()
    assert "below 60 credits" in html_of(mail)


def test_claim_code_is_in_no_header_and_no_link(render: Render) -> None:
    mail = render(MailKind.CARD)

    assert not [name for name, value in mail.items() if CLAIM_CODE in value]
    assert f'href="{CLAIM_CODE}' not in html_of(mail)
    assert html_of(mail).count(CLAIM_CODE) == 1


def test_card_that_never_expires(render: Render) -> None:
    assert "Expires: never" in text_of(render(MailKind.CARD, expires_at=None)).splitlines()


def test_receipt(render: Render) -> None:
    mail = render(MailKind.RECEIPT)
    lines = text_of(mail).splitlines()

    assert mail["Subject"] == "Receipt for order PC-2026-000123: 240.00 USD"
    for line in (
        "Order number: PC-2026-000123",
        "Paid on: 22 November 2026 (UTC)",
        "Organization: Acme (org_acme)",
        "Paid with: Visa ending in 4242",
        "Purchase order number: PO-77",
        "Terms and Conditions: version 2026-11",
        "2 x 120 support credits (SUPPORT-120)",
        "    120.00 USD each, 240.00 USD together",
        "Subtotal: 240.00 USD",
        "Tax: 0.00 USD",
        "Total: 240.00 USD",
    ):
        assert line in lines
    for part in ("PC-2026-000123", "Visa ending in 4242", "PO-77", "version 2026-11", "SUPPORT-120", "240.00 USD"):
        assert part in html_of(mail)


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        (MailKind.QUOTE, "Quote PQ-2026-000122: 240.00 USD"),
        (MailKind.QUOTE_EXPIRING, "Quote PQ-2026-000122 is good until 20 December 2026"),
    ],
)
def test_quotes(render: Render, kind: MailKind, subject: str) -> None:
    mail = render(kind)
    lines = text_of(mail).splitlines()

    assert mail["Subject"] == subject
    for line in (
        "Quote number: PQ-2026-000122",
        "Good until: 20 December 2026, end of the day (Europe/Berlin)",
        "Organization: Acme (org_acme)",
        "Purchase order number: PO-77",
        "2 x 120 support credits (SUPPORT-120)",
        "    120.00 USD each, 240.00 USD together",
        "Total: 240.00 USD",
    ):
        assert line in lines
    for part in ("PQ-2026-000122", "20 December 2026", "Europe/Berlin", "PO-77", "SUPPORT-120", "240.00 USD"):
        assert part in html_of(mail)


def test_refund_notice(render: Render) -> None:
    mail = render(MailKind.REFUND)
    lines = text_of(mail).splitlines()

    assert mail["Subject"] == "Refund for order PC-2026-000123: 240.00 USD"
    for line in (
        "Order number: PC-2026-000123",
        "Refunded on: 24 November 2026 (UTC)",
        "Amount: 240.00 USD",
        "Refunded to: Visa ending in 4242",
        "Credits taken back: 240",
    ):
        assert line in lines
    for part in ("PC-2026-000123", "240.00 USD", "Visa ending in 4242", "24 November 2026"):
        assert part in html_of(mail)


def test_refund_notice_of_an_order_without_credits(render: Render) -> None:
    nothing = {"taken_back": 0, "claimed": 0, "spent": 0}
    mail = render(MailKind.REFUND, payment={"method": "wire", "card": None}, credits=nothing)

    assert "Refunded by: wire" in text_of(mail).splitlines()
    assert "redits" not in text_of(mail) + html_of(mail)


TICKET_LINES = ("Ticket: T-1001", "Subject: Calls drop after a minute", "Deployment: Berlin HQ (14181336)")


@pytest.mark.parametrize(
    ("kind", "subject", "said"),
    [
        (
            MailKind.TICKET_OPENED,
            "Ticket T-1001: Calls drop after a minute",
            ("Credits held: 60 of Acme (1 credit is 1 minute of support)", "Opened on: 24 November 2026 (UTC)"),
        ),
        (
            MailKind.TICKET_ANSWERED,
            "Answer to ticket T-1001: Calls drop after a minute",
            ("> We have found the cause.", "> A fix comes tonight."),
        ),
        (
            MailKind.TICKET_OVERRUN,
            "Ticket T-1001 needs 30 more credits: yes or no?",
            ("Credits held: 60", "More credits needed: 30 (1 credit is 1 minute of support)"),
        ),
        (
            MailKind.TICKET_CLOSED,
            "Ticket T-1001 is closed: 75 credits debited",
            ("Credits held: 90", "Credits debited: 75", "Credits returned: 15"),
        ),
        (
            MailKind.TICKET_DEFECT,
            "Ticket T-1001: 75 credits given back",
            ("Reason: A defect of release 21", "Credits given back: 75 to Acme (org_01K0ACME)"),
        ),
    ],
)
def test_ticket_mails(render: Render, kind: MailKind, subject: str, said: tuple[str, ...]) -> None:
    mail = render(kind)

    assert mail["Subject"] == subject
    assert mail["To"] == "Ada Buyer <ada@acme.example>"
    for line in (*TICKET_LINES, *said):
        assert line in text_of(mail).splitlines()
        assert line.removeprefix("> ").partition(": ")[2] in html_of(mail)
    assert "https://store.punchcard.example" in text_of(mail)


def test_a_closed_ticket_says_what_was_not_charged_and_that_it_was_a_defect(render: Render) -> None:
    plain = render(MailKind.TICKET_CLOSED, returned=0)
    assert not {"Credits returned", "Minutes not charged", "Defect"} & {
        line.partition(":")[0] for line in text_of(plain).splitlines()
    }
    defect = render(MailKind.TICKET_CLOSED, debited=0, written_off=75, defect_reason="Ours")
    assert {"Credits debited: 0", "Minutes not charged: 75", "Defect: Ours"} <= set(text_of(defect).splitlines())
    assert "you pay nothing" in text_of(defect)
    assert "you pay nothing" in html_of(defect)


def test_an_answer_cannot_write_markup_or_headers(render: Render) -> None:
    mail = render(
        MailKind.TICKET_ANSWERED, lines=["<b>bold</b>", "a\nBcc: x@y.example"], subject="a\r\nBcc: x@y.example"
    )
    assert "<b>bold</b>" not in html_of(mail)
    assert "> a Bcc: x@y.example" in text_of(mail).splitlines()
    assert mail["Bcc"] is None


def test_receipt_without_card_and_purchase_order(render: Render) -> None:
    mail = render(MailKind.RECEIPT, payment={"method": "wire", "card": None}, purchase_order_number=None)

    assert "Paid by: wire" in text_of(mail).splitlines()
    assert "Purchase order" not in text_of(mail) + html_of(mail)
    assert "ending in" not in text_of(mail) + html_of(mail)


def test_receipt_of_amounts_without_minor_digits(render: Render, examples: Examples) -> None:
    totals = {name: {"amount_minor": 24000, "currency": "JPY"} for name in ("subtotal", "tax", "total")}

    assert "Total: 24000 JPY" in text_of(render(MailKind.RECEIPT, totals=totals)).splitlines()


def test_claim_notice(render: Render) -> None:
    mail = render(MailKind.CARD_CLAIMED)
    lines = text_of(mail).splitlines()

    assert "Claimed on: 23 November 2026 (UTC)" in lines
    assert "Credits: 300" in lines
    assert any(line.startswith("Claimed by: ") for line in lines)
    assert "was claimed" in mail["Subject"]
    assert "cannot be used again" in html_of(mail)


@pytest.mark.parametrize("kind", [MailKind.PAYMENT_INSTRUCTIONS, MailKind.PAYMENT_REMINDER])
def test_how_to_pay(render: Render, kind: MailKind) -> None:
    mail = render(kind)
    lines = text_of(mail).splitlines()

    assert "PC-2026-000123" in mail["Subject"]
    assert "120.00 USD" in mail["Subject"]
    for line in (
        "Order number: PC-2026-000123",
        "To pay: 120.00 USD",
        "Due by: 6 December 2026",
        "Payment reference: RF84PC2026000123",
        "Wire it to",
        "Beneficiary: Punchcard Support",
        "Account: DE89 3704 0044 0532 0130 00",
        "BIC: EXMPDEFFXXX",
        "If the money is not here by 22 December 2026 (UTC), the order is cancelled.",
    ):
        assert line in lines
    for part in ("PC-2026-000123", "120.00 USD", "6 December 2026", "RF84PC2026000123", "DE89", "22 December 2026"):
        assert part in html_of(mail)
    assert "Received" not in text_of(mail) + html_of(mail)


def test_how_to_pay_by_check(render: Render, examples: Examples) -> None:
    instructions = {
        **examples[MailKind.PAYMENT_INSTRUCTIONS]["instructions"], "method": "check",
        "pay_to": {"payable_to": "Punchcard Support", "address": "1 Main Street, Springfield"},
    }  # fmt: skip
    mail = render(MailKind.PAYMENT_INSTRUCTIONS, instructions=instructions)
    lines = text_of(mail).splitlines()

    assert "Payable to: Punchcard Support" in lines
    assert "To: 1 Main Street, Springfield" in lines
    assert "Write the payment reference on the check." in html_of(mail)
    assert not [line for line in lines if line.startswith(("Account", "Wire"))]


def test_money_that_is_short_says_what_is_left(render: Render) -> None:
    mail = render(MailKind.PAYMENT_RECEIVED)
    lines = text_of(mail).splitlines()

    assert mail["Subject"] == "Order PC-2026-000123: 70.00 USD received, 50.00 USD left to pay"
    for line in ("Received on: 30 November 2026", "Total: 120.00 USD", "Received: 70.00 USD", "To pay: 50.00 USD"):
        assert line in lines
    assert "50.00 USD" in html_of(mail)


@pytest.mark.parametrize(
    ("reason", "surplus_minor", "said"),
    [
        (None, 0, "The order is paid. The receipt comes in a mail of its own."),
        ("overpaid", 1000, "Too much by: 10.00 USD"),
        ("order_paid", 7000, "This order was paid before"),
        ("order_cancelled", 7000, "This order is cancelled"),
    ],
)
def test_money_after_which_nothing_is_left_to_pay(
    render: Render, examples: Examples, reason: str | None, surplus_minor: int, said: str
) -> None:
    usd = {"amount_minor": 0, "currency": "USD"}
    payment = {
        **examples[MailKind.PAYMENT_RECEIVED]["payment"], "remaining": usd, "reason": reason,
        "surplus": {**usd, "amount_minor": surplus_minor},
    }  # fmt: skip
    mail = render(MailKind.PAYMENT_RECEIVED, payment=payment)

    assert said in text_of(mail)
    assert said.partition(":")[0] in html_of(mail)
    assert mail["Subject"] == "Order PC-2026-000123: 70.00 USD received"
    assert "To pay" not in text_of(mail) + html_of(mail)


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (MailKind.CONFIRMATION, "confirm"),
        (MailKind.PASSWORD_RESET, "reset-password"),
        (MailKind.INVITATION, "invitations"),
    ],
)
def test_a_link_is_built_from_the_setting_and_stands_in_the_body_only(
    render: Render, kind: MailKind, path: str
) -> None:
    mail = render(kind)
    link = f"https://store.punchcard.example/{path}/{LINK_TOKEN}"
    assert link in text_of(mail).splitlines()
    assert f'href="{link}"' in html_of(mail)
    assert f"Token: {LINK_TOKEN}" in text_of(mail).splitlines()
    assert "24 November 2026, 12:00 (UTC)" in text_of(mail)
    assert not [name for name, value in mail.items() if LINK_TOKEN in value]


def test_a_confirmation_says_nothing_that_whoever_signed_up_has_written(render: Render) -> None:
    evil = {"email": "vic@acme.example", "name": "", "language": "en"}
    mail = render(MailKind.CONFIRMATION, recipient=evil, organization_name="Win a car: evil.example")
    assert "evil.example" not in str(mail)
    assert "evil.example" in text_of(render(MailKind.INVITATION, organization_name="evil.example"))


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (MailKind.SIGN_UP_REPEATED, "It has an account already"),
        (MailKind.INVITATION_IMPOSSIBLE, "has an account in another organization"),
        (MailKind.PASSWORD_CHANGED, "Sessions that were open elsewhere have ended"),
    ],
)
def test_a_notice_has_no_link_that_does_anything(render: Render, kind: MailKind, says: str) -> None:
    mail = render(kind, sealed_token=None, expires_at=None)
    assert says in text_of(mail)
    assert says in html_of(mail)
    assert LINK_TOKEN not in str(mail)


@pytest.mark.parametrize("kind", list(MailKind))
def test_headers(render: Render, examples: Examples, kind: MailKind) -> None:
    mail = render(kind)

    assert mail["Message-ID"] == "<dlv_1@punchcard.example>"
    assert mail["From"] == "Punchcard <store@punchcard.example>"
    assert [address.addr_spec for address in mail["To"].addresses] == [recipient_of(examples[kind])["email"]]
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Correlation-ID"] == "cor_1"
    assert "https://store.punchcard.example" in text_of(mail)
    assert "https://store.punchcard.example" in html_of(mail)
    assert mail.get_content_type() == "multipart/alternative"


def test_html_is_escaped(render: Render) -> None:
    evil = {"email": "eve@acme.example", "name": '<script>alert("x")</script>', "language": "en"}
    mail = render(MailKind.CARD, buyer=evil, issuer={"id": "org_1", "name": "<img src=x onerror=y> & Sons"})

    assert "<script" not in html_of(mail)
    assert "&lt;script&gt;" in html_of(mail)
    assert "<img" not in html_of(mail)
    assert "&amp; Sons" in html_of(mail)
    assert '<script>alert("x")</script>' in text_of(mail)  # plain text is not HTML


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\x0b", "\u2028", "\x00"])
def test_a_name_writes_no_header_and_no_line(render: Render, end: str) -> None:
    name = f"Ada{end}Bcc: eve@evil.example{end}{end}Claim code: FAKE"
    buyer = {"email": "ada@acme.example", "name": name, "language": "en"}
    mail = render(MailKind.CARD, buyer=buyer, order_number=f"O-1{end}Bcc: eve@evil.example")

    assert mail["Bcc"] is None
    assert [address.addr_spec for address in mail["To"].addresses] == ["ada@acme.example"]
    assert mail["To"].addresses[0].display_name == "Ada Bcc: eve@evil.example Claim code: FAKE"
    assert [line for line in text_of(mail).splitlines() if line.startswith("Claim code:")] == [
        f"Claim code: {CLAIM_CODE}"
    ]


@pytest.mark.parametrize("name", ['"; Bcc: eve@evil.example', "Ada <eve@evil.example>", "a,b@evil.example", "Ä" * 300])
def test_a_name_is_no_second_recipient(render: Render, name: str) -> None:
    mail = render(MailKind.CARD, buyer={"email": "ada@acme.example", "name": name, "language": "en"})

    assert [address.addr_spec for address in mail["To"].addresses] == ["ada@acme.example"]


@pytest.mark.parametrize("address", ["", "ada", "@acme.example", "ada@", "ada@acme.example\r\nBcc: eve@evil.example",
                                     "ada@acme.example, eve@evil.example"])  # fmt: skip
def test_what_is_no_address_gets_no_mail(renderer: Renderer, examples: Examples, address: str) -> None:
    data = PAYLOADS[MailKind.CARD_CLAIMED].load(examples[MailKind.CARD_CLAIMED])

    with pytest.raises(BadAddress):
        renderer.render(
            MailKind.CARD_CLAIMED, language="en", recipient=address, data=data, message_id="<1@x.example>",
            correlation_id="cor_1", written_at=FixedClock().now(),
        )  # fmt: skip


@pytest.fixture
def german() -> Renderer:
    templates = {
        "de/card.subject.txt": "Ihre Karte",
        "de/card.txt": "Grüße, {{ buyer.name }}",
        "de/card.html": "<p>Hallo</p>",
    }
    loader = ChoiceLoader([DictLoader(templates), PackageLoader("notifications")])
    return Renderer(Address("Punchcard", addr_spec="store@punchcard.example"), "https://store.example", loader)


@pytest.mark.parametrize("language", ["de", "DE", "de-AT", "de_CH"])
def test_the_language_of_the_buyer(render: Render, german: Renderer, language: str) -> None:
    mail = render(MailKind.CARD, using=german, language=language)

    assert mail["Subject"] == "Ihre Karte"
    assert mail["Content-Language"] == "de"
    assert text_of(mail).startswith("Grüße, ")


@pytest.mark.parametrize("language", ["fr", "fr-CA", "", "../../etc", "en/../de", "x" * 35])
def test_a_language_without_templates_is_english(render: Render, german: Renderer, language: str) -> None:
    mail = render(MailKind.CARD, using=german, language=language)

    assert mail["Content-Language"] == "en"
    assert "Card number: " in text_of(mail)


def test_a_kind_without_templates_in_the_language_is_english_throughout(render: Render, german: Renderer) -> None:
    mail = render(MailKind.RECEIPT, using=german, language="de")

    assert mail["Content-Language"] == "en"
    assert mail["Subject"].startswith("Receipt")


def test_the_raw_mail_is_readable_ascii_when_the_content_is(renderer: Renderer, render: Render) -> None:
    assert f"Claim code: {CLAIM_CODE}".encode() in render(MailKind.CARD).as_bytes()
