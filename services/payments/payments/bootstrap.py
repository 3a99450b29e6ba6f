"""Puts the service together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from chassis.persistence import Database
from chassis.persistence.throttle import Throttle
from chassis.service import Runtime
from payments import settings
from payments.clients import Cart
from payments.domain.invoices import Issuer
from payments.domain.provider import Provider, Webhooks
from payments.domain.remittances import Terms
from payments.payment_method_storage import FAILURE
from payments.providers.offline import OfflineProvider
from payments.providers.offline_webhooks import OfflineWebhooks


@dataclass(slots=True)
class App:
    """What the use cases are handed.

    Args:
        database: this service's.
        provider: who takes the money.
        lease: for how long an attempt belongs to whoever is asking the provider about it.
        webhooks: reads what the provider sends by itself; believes none unless told how.
        settle_soon: has the attempts that are due settled at once.
        follow_disputes_soon: has the provider asked at once what has changed about disputes.
        save_cards_soon: has cards that are to be saved kept by the provider at once.
        return_strays_soon: has money that was taken for none of them given back at once.
        remittances: by method, on what terms money is awaited; a method that is not here is not open.
        declines: counts the cards that were to be saved and are no good: somebody may be trying out stolen ones.
        issuer: who sells, as invoices say it.
        paid_orders: asks cart for those of some orders that are paid, as its events say them.
    """

    database: Database
    provider: Provider
    lease: timedelta
    webhooks: Webhooks = field(default_factory=lambda: OfflineWebhooks(()))
    settle_soon: Callable[[], None] = lambda: None
    follow_disputes_soon: Callable[[], None] = lambda: None
    save_cards_soon: Callable[[], None] = lambda: None
    return_strays_soon: Callable[[], None] = lambda: None
    remittances: Mapping[str, Terms] = field(default_factory=dict)
    declines: Throttle = field(default_factory=lambda: Throttle(FAILURE, settings.DECLINES_AT_MOST))
    issuer: Issuer = field(default_factory=Issuer)
    paid_orders: Callable[[Sequence[str]], Sequence[dict[str, Any]]] = lambda _order_ids: ()


def bootstrap(runtime: Runtime) -> App:
    """Build the App of a running service."""
    read = settings.read(runtime.environment)
    provider = OfflineProvider(
        read.provider_url,
        read.provider_key,
        connect_timeout_s=read.connect_timeout_s,
        read_timeout_s=read.read_timeout_s,
        connections=read.connections,
    )
    return App(
        database=runtime.database,
        provider=provider,
        lease=read.lease,
        webhooks=OfflineWebhooks(read.webhook_secrets),
        settle_soon=runtime.waker("settle_payments"),
        follow_disputes_soon=runtime.waker("follow_disputes"),
        save_cards_soon=runtime.waker("settle_payment_methods"),
        return_strays_soon=runtime.waker("return_strays"),
        remittances=read.remittances,
        declines=Throttle(FAILURE, read.declines_at_most, timedelta(seconds=read.declines_window_s)),
        issuer=read.issuer,
        paid_orders=Cart(runtime.rpc).paid_orders,
    )
