"""The keys of an installation: made once, kept in a file only its owner may read, handed out as environment."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from chassis.identity import public_key_of
from chassis.sealing import Opener, new_key

_SEALED_FOR = ("ACCOUNTS", "CREDITS", "NOTIFICATIONS")


def new_keys() -> dict[str, str]:
    """A complete set of fresh keys, by the name of the environment variable each belongs in.

    Private keys belong to one service: IDENTITY_SIGNING_KEY to accounts, <NAME>_SEALING_KEY to that service,
    CREDITS_CODE_PEPPER to credits, PAYMENTS_PROVIDER_KEY and PAYMENTS_WEBHOOK_SECRET to payments and its provider.
    """
    signing = new_key()
    keys = {
        "IDENTITY_SIGNING_KEY": signing,
        "IDENTITY_PUBLIC_KEY": public_key_of(signing),
        "CREDITS_CODE_PEPPER": secrets.token_hex(32),
        "PAYMENTS_PROVIDER_KEY": "sk_offline_" + secrets.token_hex(24),
        "PAYMENTS_WEBHOOK_SECRET": "whsec_" + secrets.token_hex(24),
    }
    for name in _SEALED_FOR:
        private = new_key()
        keys[f"{name}_SEALING_KEY"] = private
        keys[f"{name}_SEALING_PUBLIC_KEY"] = Opener(private).public_key
    return keys


def kept_keys(file: Path) -> dict[str, str]:
    """The keys in `file`, made there if it does not exist; one of an earlier version gets those that are new since."""
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text("{}")
    kept: dict[str, str] = json.loads(file.read_text())
    keys = {**new_keys(), **kept}
    if keys != kept:
        fresh = file.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(keys, indent=2) + "\n")
        fresh.replace(file)
    return keys
