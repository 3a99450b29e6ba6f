"""The local mailbox: a folder of mails, its pages, and the mail server that fills it."""

from __future__ import annotations

import os
import signal
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
import requests

from chassis.local_servers import free_port
from punchcard.mailbox import MailFolder, create_app
from punchcard.mailbox.sink import mail_sink

HOST = "127.0.0.1"


def a_mail(subject: str = "Hello", *, message_id: str = "<1@store.example>", html: str = "<p>Hi</p>") -> EmailMessage:
    message = EmailMessage()
    message["Message-ID"] = message_id
    message["From"] = "Punchcard <store@punchcard.example>"
    message["To"] = "Ada Büyer <ada@acme.example>"
    message["Subject"] = subject
    message.set_content("Card number: SCC-1\nClaim code: 7K2M\nGrüße")
    message.add_alternative(html, subtype="html")
    return message


def kept(folder: Path, name: str, message: EmailMessage, arrived_s: int) -> None:
    path = folder / f"{name}.eml"
    path.write_bytes(message.as_bytes())
    os.utime(path, (arrived_s, arrived_s))


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    port = free_port()
    controller = mail_sink(tmp_path / "mail", port)
    controller.start()
    yield tmp_path / "mail", port
    controller.stop()


def test_an_empty_mailbox_says_what_to_do(tmp_path: Path) -> None:
    client = create_app(tmp_path / "not-there").test_client()

    assert client.get("/dev/mail.json").json == {"items": []}
    page = client.get("/dev/mail")
    assert page.status_code == 200
    assert "No mail yet" in page.text
    assert "Buy something in the store" in page.text


def test_json_lists_mails_newest_first_by_arrival(tmp_path: Path) -> None:
    kept(tmp_path, "b", a_mail("second"), 1_800_000_001)
    kept(tmp_path, "c", a_mail("first"), 1_800_000_000)
    kept(tmp_path, "a", a_mail("third"), 1_800_000_002)
    (tmp_path / "half-written.part").write_bytes(b"Subject: not yet")
    client = create_app(tmp_path).test_client()

    items = client.get("/dev/mail.json").json["items"]

    assert [item["subject"] for item in items] == ["third", "second", "first"]
    assert items[0] == {
        "id": "a",
        "to": "ada@acme.example",
        "subject": "third",
        "sent_at": "2027-01-15T08:00:02.000Z",
        "text": "Card number: SCC-1\nClaim code: 7K2M\nGrüße\n",
        "html": "<p>Hi</p>\n",
    }


def test_a_mail_that_is_deleted_is_gone_and_a_new_one_is_seen(tmp_path: Path) -> None:
    client = create_app(tmp_path).test_client()
    kept(tmp_path, "a", a_mail("first"), 1_800_000_000)
    assert [item["id"] for item in client.get("/dev/mail.json").json["items"]] == ["a"]

    (tmp_path / "a.eml").unlink()
    kept(tmp_path, "b", a_mail("second"), 1_800_000_001)

    assert [item["id"] for item in client.get("/dev/mail.json").json["items"]] == ["b"]
    assert client.get("/dev/mail/a").status_code == 404


def test_the_list_links_to_each_mail(tmp_path: Path) -> None:
    kept(tmp_path, "dlv_1@store.example", a_mail("<b>bold</b>"), 1_800_000_000)
    client = create_app(tmp_path).test_client()

    page = client.get("/dev/mail").text
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "<b>bold</b>" not in page
    assert 'href="/dev/mail/dlv_1@store.example"' in page
    assert "Claim code: 7K2M" in client.get("/dev/mail/dlv_1@store.example").text


def test_the_html_of_a_mail_is_shown_in_a_sandbox_only(tmp_path: Path) -> None:
    kept(
        tmp_path, "evil", a_mail(html='<script>alert("x")</script>"></iframe><script>alert(1)</script>'), 1_800_000_000
    )

    page = create_app(tmp_path).test_client().get("/dev/mail/evil")

    assert "<script" not in page.text
    assert 'sandbox srcdoc="&lt;script&gt;' in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["..%2Fsecret", "%2Fetc%2Fpasswd", "nothing"])
def test_only_mails_of_the_folder_are_shown(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret.eml").write_bytes(a_mail("secret").as_bytes())
    (tmp_path / "mail").mkdir()

    answer = create_app(tmp_path / "mail").test_client().get(f"/dev/mail/{path}")

    assert answer.status_code == 404
    assert "secret" not in answer.text


def test_bytes_that_are_no_mail_do_not_break_the_list(tmp_path: Path) -> None:
    (tmp_path / "noise.eml").write_bytes(b"\xff\xfe\x00 not a mail at all")
    kept(tmp_path, "good", a_mail("good"), 1_800_000_000)
    client = create_app(tmp_path).test_client()

    assert {item["id"] for item in client.get("/dev/mail.json").json["items"]} == {"noise", "good"}
    assert client.get("/dev/mail").status_code == 200
    assert client.get("/dev/mail/noise").status_code == 200


def test_the_same_message_received_twice_is_there_twice(sink: tuple[Path, int]) -> None:
    folder, port = sink
    with smtplib.SMTP(HOST, port) as server:
        server.send_message(a_mail("one"))
        server.send_message(a_mail("one"))
        server.send_message(a_mail("two", message_id="<2@store.example>"))

    mails = MailFolder(folder).mails()

    assert [mail.subject for mail in mails] == ["two", "one", "one"]
    assert [mail.message_id for mail in mails] == ["<2@store.example>", "<1@store.example>", "<1@store.example>"]
    assert len({mail.id for mail in mails}) == 3


def test_the_process_takes_mails_shows_them_and_stops_on_sigterm(tmp_path: Path) -> None:
    smtp_port, http_port = free_port(), free_port()
    command = [sys.executable, "-m", "punchcard.mailbox", "--folder", str(tmp_path / "mail"),
               "--smtp-port", str(smtp_port), "--http-port", str(http_port)]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        with _connected(smtp_port, process) as server:
            server.send_message(a_mail("over the wire"))
        answer = requests.get(f"http://{HOST}:{http_port}/dev/mail.json", timeout=10)
        assert [item["subject"] for item in answer.json()["items"]] == ["over the wire"]
        assert requests.get(f"http://{HOST}:{http_port}/", timeout=10).url.endswith("/dev/mail")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_a_taken_port_is_a_clear_error(tmp_path: Path, sink: tuple[Path, int]) -> None:
    _, taken = sink
    command = [sys.executable, "-m", "punchcard.mailbox", "--folder", str(tmp_path), "--smtp-port", str(free_port()),
               "--http-port", str(taken)]  # fmt: skip

    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert str(taken) in done.stderr
    assert "Traceback" not in done.stderr


def _connected(port: int, process: subprocess.Popen[bytes]) -> smtplib.SMTP:
    while process.poll() is None:
        try:
            return smtplib.SMTP(HOST, port, timeout=10)
        except ConnectionRefusedError:
            continue
    raise AssertionError(f"the mailbox ended: {process.stderr.read().decode()}")
