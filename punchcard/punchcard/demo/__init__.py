"""The store over HTTP, step by step, as client programs would use it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import requests

from punchcard.demo.client import Client, Mailbox, Stopped
from punchcard.demo.customer import buy_and_claim
from punchcard.demo.reseller import buy_for_customers
from punchcard.says import say

__all__ = ["Stopped", "walk"]


def walk(file: Path | None) -> None:
    """Do it against the store that `file` (its ``demo.json``) describes, printing each step.

    Raises:
        Stopped: the store is not there, or a step failed.
    """
    demo = _read(file)
    mails = Mailbox(demo.get("mail_url", f"{demo['base_url']}/dev/mail") + ".json")
    users = {user["email"].partition("@")[0]: user for user in demo["users"]}

    def sign_in(name: str) -> Client:
        return Client(demo["base_url"], users[name]["email"], users[name]["password"])

    try:
        say("A customer buys a support credit card and hands it to somebody else.\n")
        buy_and_claim(sign_in("ada"), sign_in("grace"), mails, demo["provider_tokens"]["success"])
        say("\nA reseller buys for two of its customers and pays by wire.\n")
        buy_for_customers(sign_in("rita"), sign_in("fay"), (sign_in("uma"), sign_in("hal")), mails)
    except requests.ConnectionError as error:
        raise Stopped(f"No store answers at {demo['base_url']}. Start one in another terminal: make run") from error
    except KeyError as error:
        raise Stopped(f"The store is of another version: {error} is not there. Start it again: make run") from error


def _read(file: Path | None) -> dict[str, Any]:
    candidates = [file] if file else [Path(".run/demo.json"), Path(".run/services/demo.json")]
    existing = sorted((path for path in candidates if path.exists()), key=lambda path: path.stat().st_mtime)
    if not existing:
        raise Stopped("No store has run here yet. Start one in another terminal: make run")
    demo: dict[str, Any] = json.loads(existing[-1].read_text())
    return demo
