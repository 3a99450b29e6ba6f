"""The keys of an installation."""

from __future__ import annotations

import json
from pathlib import Path

from punchcard.keys import kept_keys, new_keys


def test_keys_are_kept_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    first = kept_keys(file)
    assert kept_keys(file) == first
    assert set(first) == set(new_keys())
    assert file.stat().st_mode & 0o077 == 0


def test_keys_of_an_earlier_version_get_what_is_new_since_and_keep_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    before = kept_keys(file)
    file.write_text(json.dumps({name: value for name, value in before.items() if name != "PAYMENTS_WEBHOOK_SECRET"}))

    now = kept_keys(file)

    assert now.pop("PAYMENTS_WEBHOOK_SECRET") not in ("", before.pop("PAYMENTS_WEBHOOK_SECRET"))
    assert now == before
    assert kept_keys(file).keys() == new_keys().keys()
    assert file.stat().st_mode & 0o077 == 0
