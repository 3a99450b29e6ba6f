"""The entrypoints of support."""

from __future__ import annotations

from typing import Any

from chassis.identity import STAFF
from chassis.service import Call, Provided, Service, every, rpc
from support import messages
from support.bootstrap import bootstrap
from support.use_cases.add_comment import add_comment
from support.use_cases.add_time import add_time
from support.use_cases.answer_overrun import answer_overrun
from support.use_cases.close_ticket import close_ticket, give_back_defect
from support.use_cases.get_ticket import get_ticket
from support.use_cases.list_comments import list_comments
from support.use_cases.list_tickets import list_queue, list_tickets
from support.use_cases.open_ticket import open_ticket
from support.use_cases.preflight import preflight
from support.use_cases.proceed import resume_tickets
from support.use_cases.reopen_ticket import reopen_ticket
from support.use_cases.ticket_facts import ticket_facts


class SupportService(Service):
    """Tickets, and the time worked on them."""

    name = "support"
    app = Provided(bootstrap)

    @rpc(request=messages.Preflight(), reply=messages.PreflightReply(), scope="read")
    def preflight(self, call: Call) -> dict[str, Any]:
        """Whether a ticket would be accepted."""
        return preflight(self.app, call.caller, **call.data)

    @rpc(request=messages.OpenTicket(), reply=messages.TicketReply(), scope="tickets")
    def open_ticket(self, call: Call) -> dict[str, Any]:
        """A new ticket, with credits held for it."""
        return open_ticket(self.app, call.caller, **call.data)

    @rpc(request=messages.GetTicket(), reply=messages.Ticket(), scope="read")
    def get_ticket(self, call: Call) -> dict[str, Any]:
        """One ticket."""
        return get_ticket(self.app, call.caller, **call.data)

    @rpc(request=messages.GetTicket(), reply=messages.Ticket())
    def get_any_ticket(self, call: Call) -> dict[str, Any]:
        """One ticket of anybody's; for staff."""
        call.caller.require(*STAFF)
        return get_ticket(self.app, call.caller, **call.data)

    @rpc(request=messages.ListTickets(), reply=messages.Tickets(), scope="read")
    def list_tickets(self, call: Call) -> dict[str, Any]:
        """The organisation's tickets."""
        return list_tickets(self.app, call.caller, **call.data)

    @rpc(request=messages.ListQueue(), reply=messages.Tickets())
    def list_queue(self, call: Call) -> dict[str, Any]:
        """Anybody's tickets; for staff."""
        return list_queue(self.app, call.caller, **call.data)

    @rpc(request=messages.ListComments(), reply=messages.Comments(), scope="read")
    def list_comments(self, call: Call) -> dict[str, Any]:
        """What was written about a ticket."""
        return list_comments(self.app, call.caller, **call.data)

    @rpc(request=messages.AddComment(), reply=messages.CommentReply(), scope="tickets")
    def add_comment(self, call: Call) -> dict[str, Any]:
        """Write something about a ticket."""
        return add_comment(self.app, call.caller, **call.data)

    @rpc(request=messages.AddTime(), reply=messages.TicketReply())
    def add_time(self, call: Call) -> dict[str, Any]:
        """Time worked, or an entry taken back; for staff."""
        return add_time(self.app, call.caller, **call.data)

    @rpc(request=messages.AnswerOverrun(), reply=messages.TicketReply(), scope="tickets")
    def answer_overrun(self, call: Call) -> dict[str, Any]:
        """Yes or no to more credits."""
        return answer_overrun(self.app, call.caller, **call.data)

    @rpc(request=messages.CloseTicket(), reply=messages.TicketReply(), scope="tickets")
    def close_ticket(self, call: Call) -> dict[str, Any]:
        """Debit what was worked, return the rest."""
        return close_ticket(self.app, call.caller, **call.data)

    @rpc(request=messages.GiveBackDefect(), reply=messages.TicketReply())
    def give_back_defect(self, call: Call) -> dict[str, Any]:
        """Nothing is debited for a mistake of ours; for staff."""
        return give_back_defect(self.app, call.caller, **call.data)

    @rpc(request=messages.ReopenTicket(), reply=messages.TicketReply(), scope="tickets")
    def reopen_ticket(self, call: Call) -> dict[str, Any]:
        """Open a closed ticket again."""
        return reopen_ticket(self.app, call.caller, **call.data)

    @rpc(request=messages.TicketFactsPage(), reply=messages.TicketFacts())
    def ticket_facts(self, call: Call) -> dict[str, Any]:
        """Where every ticket's credits are; for staff, who reconcile."""
        return ticket_facts(self.app, call.caller, **call.data)

    @every(2.0)
    def resume_tickets(self) -> None:
        """Go on with tickets that nobody is at."""
        resume_tickets(self.app)
