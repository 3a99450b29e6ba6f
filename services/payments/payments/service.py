"""The entrypoints of payments."""

from __future__ import annotations

from typing import Any

from chassis.service import Call, Provided, Service, every, rpc
from payments import messages
from payments.bootstrap import bootstrap
from payments.use_cases.collect import collect
from payments.use_cases.get_intent import get_intent
from payments.use_cases.settle_payments import settle_payments


class PaymentsService(Service):
    """Collects money for orders. Only cart calls it; cart's process manager does so without a user at hand."""

    name = "payments"
    app = Provided(bootstrap)

    @rpc(request=messages.Collect(), reply=messages.IntentReply(), anonymous=True)
    def collect(self, call: Call) -> dict[str, Any]:
        return collect(self.app, call.identity, **call.data)

    @rpc(request=messages.GetIntent(), reply=messages.IntentReply(), anonymous=True)
    def get_intent(self, call: Call) -> dict[str, Any]:
        return get_intent(self.app, call.identity, **call.data)

    @every(2.0)
    def settle_payments(self) -> None:
        settle_payments(self.app)
