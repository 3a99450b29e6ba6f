"""The services that support asks. Each method is one RPC; none may be called inside a transaction."""

from __future__ import annotations

from chassis.rpc.client import RpcClient
from support import messages
from support.domain.preflight import Contract, Coverage
from support.domain.tickets import Ticket

# What is read of answers; made once, since making a schema costs more than reading by it.
_BALANCE_REPLY = messages.BalanceReply()
_COVERAGE_REPLY = messages.CoverageReply()
_HOLD_REPLY = messages.HoldReply()


class Accounts:
    """Asks accounts."""

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc

    def get_coverage(self, deployment_id: str) -> Coverage:
        """A deployment that the caller may name, with the contracts that are bound to it.

        Raises:
            Refusal: `not_found`; `unavailable`.
        """
        reply = self._rpc.call("accounts", "get_coverage", {"id": deployment_id}, reply=_COVERAGE_REPLY)
        deployment = reply["deployment"]
        contracts = [Contract(**each) for each in reply["contracts"]]
        return Coverage(deployment["id"], deployment["name"], deployment["state"] == "active", contracts)


class Credits:
    """Asks credits. Each may be asked again: a hold is made, raised, settled and given back once for its cause."""

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc

    def balance(self) -> int:
        """What the caller's organisation can use.

        Raises:
            Refusal: `unavailable`.
        """
        return int(self._rpc.call("credits", "get_balance", {}, reply=_BALANCE_REPLY)["balance"])

    def hold(self, ticket: Ticket, credits: int) -> None:
        """Reserve credits for the round that begins.

        Raises:
            Refusal: `insufficient_credits` with the balance; `unavailable` and whatever else is not an answer.
        """
        request = {
            "organization_id": ticket.organization_id, "cause": _cause(ticket, ticket.opening_round),
            "credits": credits, "memo": _memo(ticket),
        }  # fmt: skip
        self._rpc.call("credits", "hold", request, reply=_HOLD_REPLY)

    def raise_hold(self, ticket: Ticket, overrun_id: str, credits: int) -> None:
        """Reserve more, once for each overrun.

        Raises:
            Refusal: as for `hold`.
        """
        request = {"cause": _cause(ticket, ticket.round), "raise_cause": overrun_id, "credits": credits}
        self._rpc.call("credits", "raise_hold", request, reply=_HOLD_REPLY)

    def settle(self, ticket: Ticket, spent: int) -> None:
        """Spend some of what is held, and return the rest.

        Raises:
            Refusal: `unavailable` and whatever else is not an answer.
        """
        request = {"cause": _cause(ticket, ticket.round), "spent": spent}
        self._rpc.call("credits", "settle_hold", request, reply=_HOLD_REPLY)

    def give_back(self, ticket: Ticket) -> int:
        """Give back what the ticket's settled holds have spent; how much that was, in all its rounds.

        Raises:
            Refusal: `unavailable` and whatever else is not an answer.
        """
        given = 0
        for number in range(1, ticket.round + 1):
            request = {"cause": _cause(ticket, number), "memo": f"{_memo(ticket)} was a defect"}
            given += self._rpc.call("credits", "give_back_hold", request, reply=_HOLD_REPLY)["given_back"]
        return given


def _cause(ticket: Ticket, number: int) -> str:
    """What a hold is for: there is one for each round of a ticket."""
    return f"{ticket.id}/{number}"


def _memo(ticket: Ticket) -> str:
    return f"Ticket {ticket.number}"
