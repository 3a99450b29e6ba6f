"""The entrypoints of credits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chassis.identity import STAFF
from chassis.messages import Event
from chassis.persistence import Reader
from chassis.service import Call, Provided, Service, consume, consume_many, every, rpc
from chassis.timeline import Step
from credits import messages
from credits.bootstrap import bootstrap
from credits.storage.tables import FAILURE, RECONCILIATION
from credits.use_cases.adjust_credits import adjust_credits
from credits.use_cases.balance_alert import get_alert, set_alert
from credits.use_cases.bind_card import bind_card
from credits.use_cases.cards_of_orders import cards_of_orders
from credits.use_cases.claim_card import claim_card
from credits.use_cases.credit_order import credit_orders
from credits.use_cases.dispute_facts import dispute_facts
from credits.use_cases.end_dispute import end_dispute
from credits.use_cases.expire_cards import expire_cards
from credits.use_cases.expire_credits import expire_credits
from credits.use_cases.freeze_card import freeze_card, unfreeze_card
from credits.use_cases.freeze_order import freeze_order
from credits.use_cases.get_balance import get_balance
from credits.use_cases.get_card import get_card
from credits.use_cases.grant_credits import grant_credits
from credits.use_cases.hold_credits import hold_credits, raise_hold
from credits.use_cases.hold_facts import hold_facts
from credits.use_cases.list_cards import list_cards
from credits.use_cases.list_entries import list_entries
from credits.use_cases.order_facts import order_facts
from credits.use_cases.order_steps import order_steps
from credits.use_cases.preview_card import preview_card
from credits.use_cases.recall_card import recall_card
from credits.use_cases.reconcile import credit_totals, reconcile
from credits.use_cases.reconciliations import list_reconciliations, record_reconciliation, sampler
from credits.use_cases.reissue_card import reissue_card
from credits.use_cases.remind_of_cards import remind_of_cards
from credits.use_cases.settle_hold import give_back_hold, settle_hold
from credits.use_cases.spend_credits import spend_credits
from credits.use_cases.split_card import split_card
from credits.use_cases.take_back_order import take_back_order
from credits.use_cases.trace_entry import trace_entry


class CreditsService(Service):
    """The ledger of support credits, and the support credit cards."""

    name = "credits"
    app = Provided(bootstrap, gauges={"credits.reconciliation": sampler})

    def find_steps(self, reader: Reader, order_id: str, organization_id: str | None) -> Iterable[Step]:
        """The steps of an order."""
        return order_steps(reader, order_id, organization_id)

    kept_days = (*Service.kept_days, (FAILURE, "last_failed_at", 1), (RECONCILIATION, "ended_at", 90))

    @rpc(request=messages.Nothing(), reply=messages.Balance(), scope="read")
    def get_balance(self, call: Call) -> dict[str, Any]:
        return get_balance(self.app, call.caller)

    @rpc(request=messages.ListEntries(), reply=messages.Entries(), scope="read")
    def list_entries(self, call: Call) -> dict[str, Any]:
        return list_entries(self.app, call.caller, **call.data)

    @rpc(request=messages.TraceEntry(), reply=messages.Trace(), scope="read")
    def trace_entry(self, call: Call) -> dict[str, Any]:
        return trace_entry(self.app, call.caller, **call.data)

    @rpc(request=messages.ListCards(), reply=messages.Cards(), scope="read")
    def list_cards(self, call: Call) -> dict[str, Any]:
        return list_cards(self.app, call.caller, **call.data)

    @rpc(request=messages.GetCard(), reply=messages.Card(), scope="read")
    def get_card(self, call: Call) -> dict[str, Any]:
        return get_card(self.app, call.caller, card_id=call.data["id"])

    @rpc(request=messages.CardsOfOrders(), reply=messages.OrdersCards(), scope="read")
    def cards_of_orders(self, call: Call) -> dict[str, Any]:
        return cards_of_orders(self.app, call.caller, **call.data)

    @rpc(request=messages.PreviewCard(), reply=messages.Preview(), scope="cards")
    def preview_card(self, call: Call) -> dict[str, Any]:
        return preview_card(self.app, call.caller, **call.data)

    @rpc(request=messages.ClaimCard(), reply=messages.ClaimReply(), scope="cards")
    def claim_card(self, call: Call) -> dict[str, Any]:
        return claim_card(self.app, call.caller, **call.data)

    @rpc(request=messages.RecallCard(), reply=messages.RecallReply(), scope="cards")
    def recall_card(self, call: Call) -> dict[str, Any]:
        return recall_card(self.app, call.caller, **call.data)

    @rpc(request=messages.OwnCard(), reply=messages.CardReply(), scope="cards")
    def freeze_card(self, call: Call) -> dict[str, Any]:
        return freeze_card(self.app, call.caller, **call.data)

    @rpc(request=messages.OwnCard(), reply=messages.CardReply(), scope="cards")
    def unfreeze_card(self, call: Call) -> dict[str, Any]:
        return unfreeze_card(self.app, call.caller, **call.data)

    @rpc(request=messages.OwnCard(), reply=messages.CardReply(), scope="cards")
    def reissue_card(self, call: Call) -> dict[str, Any]:
        return reissue_card(self.app, call.caller, **call.data)

    @rpc(request=messages.BindCard(), reply=messages.CardReply(), scope="cards")
    def bind_card(self, call: Call) -> dict[str, Any]:
        return bind_card(self.app, call.caller, **call.data)

    @rpc(request=messages.SplitCard(), reply=messages.SplitReply(), scope="cards")
    def split_card(self, call: Call) -> dict[str, Any]:
        return split_card(self.app, call.caller, **call.data)

    @rpc(request=messages.Spend(), reply=messages.SpendReply())
    def spend(self, call: Call) -> dict[str, Any]:
        return spend_credits(self.app, call.caller, **call.data)

    @rpc(request=messages.GrantCredits(), reply=messages.GrantReply())
    def grant_credits(self, call: Call) -> dict[str, Any]:
        return grant_credits(self.app, call.caller, **call.data)

    @rpc(request=messages.AdjustCredits(), reply=messages.AdjustReply())
    def adjust_credits(self, call: Call) -> dict[str, Any]:
        return adjust_credits(self.app, call.caller, **call.data)

    @rpc(request=messages.Hold(), reply=messages.HoldReply(), anonymous=True)
    def hold(self, call: Call) -> dict[str, Any]:
        return hold_credits(self.app, call.identity, **call.data)

    @rpc(request=messages.RaiseHold(), reply=messages.HoldReply(), anonymous=True)
    def raise_hold(self, call: Call) -> dict[str, Any]:
        return raise_hold(self.app, call.identity, **call.data)

    @rpc(request=messages.SettleHold(), reply=messages.HoldReply(), anonymous=True)
    def settle_hold(self, call: Call) -> dict[str, Any]:
        return settle_hold(self.app, call.identity, **call.data)

    @rpc(request=messages.GiveBackHold(), reply=messages.HoldReply(), anonymous=True)
    def give_back_hold(self, call: Call) -> dict[str, Any]:
        return give_back_hold(self.app, call.identity, **call.data)

    @rpc(request=messages.Nothing(), reply=messages.Alert(), scope="read")
    def get_alert(self, call: Call) -> dict[str, Any]:
        return get_alert(self.app, call.caller)

    @rpc(request=messages.SetAlert(), reply=messages.Alert(), scope="buy")
    def set_alert(self, call: Call) -> dict[str, Any]:
        return set_alert(self.app, call.caller, **call.data)

    @rpc(request=messages.RecordReconciliation(), reply=messages.Recorded())
    def record_reconciliation(self, call: Call) -> dict[str, Any]:
        return record_reconciliation(self.app, call.caller, **call.data)

    @rpc(request=messages.PageOf(), reply=messages.KeptReconciliations())
    def list_reconciliations(self, call: Call) -> dict[str, Any]:
        return list_reconciliations(self.app, call.caller, **call.data)

    @rpc(request=messages.TakeBackOrder(), reply=messages.TakenBack(), anonymous=True)
    def take_back_order(self, call: Call) -> dict[str, Any]:
        return take_back_order(self.app, call.identity, **call.data)

    @rpc(request=messages.Nothing(), reply=messages.Reconciliation())
    def reconcile(self, call: Call) -> dict[str, Any]:
        call.caller.require(*STAFF)
        return {"breaks": reconcile(self.app), "totals": credit_totals(self.app)}

    @rpc(request=messages.OrderFactsPage(), reply=messages.HoldFacts())
    def hold_facts(self, call: Call) -> dict[str, Any]:
        return hold_facts(self.app, call.caller, **call.data)

    @rpc(request=messages.OrderFactsPage(), reply=messages.DisputeFacts())
    def dispute_facts(self, call: Call) -> dict[str, Any]:
        return dispute_facts(self.app, call.caller, **call.data)

    @rpc(request=messages.OrderFactsPage(), reply=messages.OrderFacts())
    def order_facts(self, call: Call) -> dict[str, Any]:
        return order_facts(self.app, call.caller, **call.data)

    @consume_many("cart.order_paid.v1", messages.OrderPaid())
    def on_order_paid(self, events: list[Event]) -> None:
        credit_orders(self.app, events)

    @consume("cart.order_disputed.v1", messages.OrderDisputed())
    def on_order_disputed(self, event: Event) -> None:
        freeze_order(self.app, event)

    @consume("cart.order_dispute_closed.v1", messages.OrderDisputeClosed())
    def on_order_dispute_closed(self, event: Event) -> None:
        end_dispute(self.app, event)

    @every(60.0)
    def expire_cards(self) -> None:
        expire_cards(self.app)

    @every(60.0)
    def remind_of_cards(self) -> None:
        remind_of_cards(self.app)

    @every(60.0)
    def expire_credits(self) -> None:
        expire_credits(self.app)
