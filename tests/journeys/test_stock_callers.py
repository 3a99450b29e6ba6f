"""Stock nameko can call every service there is, and every process of a store shows its metrics."""

from __future__ import annotations

import json

import pytest
import requests
from nameko.standalone.rpc import ClusterRpcProxy
from stock.process import shell
from store import Store

from punchcard.parts import SERVICES

pytestmark = pytest.mark.journey


def test_the_nameko_shell_calls_every_service(services_store: Store, amqp_uri: str) -> None:
    typed = [f"print(n.rpc.{service}.health()['service'])" for service in SERVICES]
    products = "print(len(n.rpc.catalog.list_products()['items']) > 0)"
    assert shell(amqp_uri, *typed, products).split() == [*SERVICES, "True"]


def test_a_stock_proxy_calls_every_service(services_store: Store, amqp_uri: str) -> None:
    with ClusterRpcProxy({"AMQP_URI": amqp_uri}, timeout=30) as proxy:
        assert [getattr(proxy, service).health() for service in SERVICES] == [{"service": name} for name in SERVICES]


def test_every_process_shows_its_metrics_on_a_port_of_its_own(services_store: Store) -> None:
    processes = json.loads((services_store.folder / "processes.json").read_text())
    addresses = {process["name"]: process["metrics"] for process in processes if "metrics" in process}
    assert set(addresses) == {process["name"] for process in processes} - {"provider", "mailbox", "reconcile"}
    assert len(set(addresses.values())) == len(addresses)
    for name, address in addresses.items():
        shown = requests.get(address, timeout=30).text
        assert "process_resident_memory_bytes" in shown
        service = name.partition(".")[0]
        if service == "gateway":
            assert "punchcard_http_in_progress" in shown
        else:
            assert f'punchcard_outbox_unsent{{service="{service}"}}' in shown
            assert f'punchcard_sample_failed{{source="{service}"}} 0.0' in shown
