"""The service that credits asks. Each method is one RPC; none may be called inside a transaction."""

from __future__ import annotations

from chassis.rpc.client import RpcClient
from credits import messages


class Accounts:
    """Asks accounts, as whoever calls."""

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc

    def check_organization(self, organization_id: str) -> None:
        """Have a look that there is such an organisation, before staff give it anything.

        Raises:
            Refusal: `not_found`; `unavailable`.
        """
        self._rpc.call("accounts", "find_organization", {"id": organization_id}, reply=messages.FoundOrganization())
