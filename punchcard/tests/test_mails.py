"""Every kind of mail can be looked at without a store."""

from __future__ import annotations

from pathlib import Path

from notifications.domain.deliveries import MailKind
from punchcard.mails import preview


def test_every_kind_of_mail_is_previewed(tmp_path: Path) -> None:
    (tmp_path / "left_over.html").write_text("of an earlier run")
    page, *files = preview(tmp_path)
    assert {file.name for file in files} == {f"{kind}.{ending}" for kind in MailKind for ending in ("txt", "html")}
    assert {file.name for file in tmp_path.iterdir()} == {"index.html", *(file.name for file in files)}
    listed = page.read_text()
    for file in files:
        assert len(file.read_text()) > 200
        assert f'href="{file.name}"' in listed


def test_what_is_sealed_for_notifications_is_shown_opened_and_links_lead_to_the_store(tmp_path: Path) -> None:
    preview(tmp_path, "https://shop.example")
    assert "7K2M-Q9TX" in (tmp_path / "card.txt").read_text()
    assert "https://shop.example" in (tmp_path / "card.txt").read_text()
