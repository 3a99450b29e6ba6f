"""The invariant on a running store, as tests and operators ask for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from store import Store

from chassis import context
from chassis.rpc import RpcClient
from kernel.errors import Refusal
from punchcard.reconcile import reconcile

pytestmark = pytest.mark.journey


def test_a_store_that_has_sold_is_whole(services_store: Store) -> None:
    ada = services_store.client()
    ada.empty_cart()
    order = ada.fulfilled(ada.buy_card(quantity=2)["id"])
    report = services_store.reconciled(60, pause_s=0.2)
    assert report.breaks == []
    assert order["id"] in {fact["order_id"] for fact in report.facts.orders}
    assert len([item for item in report.facts.brought if item["order_id"] == order["id"]]) == 2


def test_customers_may_not_ask(services_store: Store, amqp_uri: str) -> None:
    client = RpcClient(amqp_uri, "tests")
    try:
        with context.entered(context.RequestContext("cor_tests")), pytest.raises(Refusal, match="Sign in first"):
            reconcile(client)
    finally:
        client.stop()


def test_the_command_says_that_nothing_is_broken(services_store: Store) -> None:
    command = [sys.executable, "-m", "punchcard", "reconcile", "--folder", str(services_store.folder)]
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    asked = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert asked.stdout.startswith("nothing is broken: ")


def test_the_command_says_which_store_it_needs(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("AMQP_URI",)}
    asked = subprocess.run(
        [sys.executable, "-m", "punchcard", "reconcile", "--folder", str(tmp_path)],
        env={**environment, "PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert asked.returncode == 2
    assert "Say which store" in asked.stderr
