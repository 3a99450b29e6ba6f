"""``contracts/``: what every service says and understands, as data, written from the code."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

from chassis.contracts import describe, describe_common
from chassis.rpc import RpcClient
from chassis.sealing import Opener, new_key
from chassis.service import load
from gateway.app import create_app
from gateway.identities import IdentityCache
from gateway.settings import Settings as GatewaySettings
from punchcard.parts import SERVICES


def generate() -> dict[str, str]:
    """All contract files by their path below ``contracts/``."""
    files = describe_common()
    for name in SERVICES:
        messages = import_module(f"{name}.messages")
        files.update(describe(load(name), messages.EVENTS, messages.RPC_EXAMPLES))
    files["gateway/openapi.json"] = _openapi()
    return files


def write(folder: Path) -> int:
    """Write them, and remove what is no longer one; how many there are."""
    files = generate()
    for stale in set(_existing(folder)) - set(files):
        (folder / stale).unlink()
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return len(files)


def differences(folder: Path) -> list[str]:
    """A line for each file that the code would write differently."""
    files = generate()
    existing = _existing(folder)
    changed = [f"changed: {path}" for path in sorted(set(files) & set(existing)) if files[path] != existing[path]]
    missing = [f"missing: {path}" for path in sorted(set(files) - set(existing))]
    return changed + missing + [f"left over: {path}" for path in sorted(set(existing) - set(files))]


def _existing(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*.json")}


def _openapi() -> str:
    public = Opener(new_key()).public_key
    settings = GatewaySettings(accounts_sealing_public_key=public, credits_sealing_public_key=public)
    app = create_app(settings, RpcClient("memory://", "contracts"), IdentityCache(60))
    document = app.test_client().get("/openapi.json").get_json()
    return json.dumps(document, indent=2, sort_keys=True) + "\n"
