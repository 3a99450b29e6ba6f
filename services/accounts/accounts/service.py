"""The entrypoints of accounts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from accounts import messages
from accounts.bootstrap import bootstrap
from accounts.storage import FAILURE, LINK
from accounts.use_cases.accept_invitation import accept_invitation
from accounts.use_cases.add_deployment import add_deployment
from accounts.use_cases.authenticate import authenticate
from accounts.use_cases.billing_facts import billing_facts
from accounts.use_cases.bind_order import bind_orders
from accounts.use_cases.change_password import change_password
from accounts.use_cases.check_deployments import check_deployments
from accounts.use_cases.confirm_sign_up import confirm_sign_up
from accounts.use_cases.create_address import create_address
from accounts.use_cases.create_api_key import create_api_key
from accounts.use_cases.deactivate_user import deactivate_user
from accounts.use_cases.delete_address import delete_address
from accounts.use_cases.find_organization import find_organization
from accounts.use_cases.get_address import get_address
from accounts.use_cases.get_coverage import get_coverage
from accounts.use_cases.get_deployment import get_deployment
from accounts.use_cases.get_organization import get_organization
from accounts.use_cases.invite_user import invite_user
from accounts.use_cases.issue_links import issue_links
from accounts.use_cases.list_addresses import list_addresses
from accounts.use_cases.list_api_keys import list_api_keys
from accounts.use_cases.list_invitations import list_invitations
from accounts.use_cases.list_managed import list_managed
from accounts.use_cases.list_users import list_users
from accounts.use_cases.manage_organization import end_management, manage_organization
from accounts.use_cases.order_facts import order_facts
from accounts.use_cases.order_steps import order_steps
from accounts.use_cases.request_password_reset import request_password_reset
from accounts.use_cases.reset_password import reset_password
from accounts.use_cases.retire_deployment import retire_deployment
from accounts.use_cases.revoke_api_key import revoke_api_key
from accounts.use_cases.search_deployments import search_deployments
from accounts.use_cases.search_organizations import search_organizations
from accounts.use_cases.set_tax_certificate import set_tax_certificate
from accounts.use_cases.sign_in import sign_in
from accounts.use_cases.sign_out import sign_out
from accounts.use_cases.sign_up import sign_up
from accounts.use_cases.sweep_sessions import sweep_sessions
from accounts.use_cases.update_address import update_address
from accounts.use_cases.update_organization import update_organization
from accounts.use_cases.update_user import update_user
from accounts.use_cases.withdraw_invitation import withdraw_invitation
from chassis.messages import Event
from chassis.persistence import Reader
from chassis.service import Call, Provided, Service, consume_many, every, rpc
from chassis.timeline import Step

_HOUR_S = 3600.0
#: For what a process left behind that died between the commit and the wake-up.
_ISSUE_EVERY_S = 15.0


class AccountsService(Service):
    """Organisations, users, credentials, deployments and what is bound to them."""

    name = "accounts"
    app = Provided(bootstrap)
    kept_days = (*Service.kept_days, (FAILURE, "last_failed_at", 1), (LINK, "requested_at", 30))

    def find_steps(self, reader: Reader, order_id: str, organization_id: str | None) -> Iterable[Step]:
        """The steps of an order."""
        return order_steps(reader, order_id, organization_id)

    @rpc(request=messages.SignIn(), reply=messages.SignedIn(), anonymous=True)
    def sign_in(self, call: Call) -> dict[str, Any]:
        """Begin a session."""
        return sign_in(self.app, **call.data)

    @rpc(request=messages.Authenticate(), reply=messages.Authenticated(), anonymous=True)
    def authenticate(self, call: Call) -> dict[str, Any]:
        """A signed identity for a session or API key."""
        return authenticate(self.app, **call.data)

    @rpc(request=messages.SignUp(), reply=messages.Nothing(), anonymous=True)
    def sign_up(self, call: Call) -> dict[str, Any]:
        """Ask for an account; a mail follows."""
        return sign_up(self.app, **call.data)

    @rpc(request=messages.Token(), reply=messages.Nothing(), anonymous=True)
    def confirm_sign_up(self, call: Call) -> dict[str, Any]:
        """Begin the account and its organisation."""
        return confirm_sign_up(self.app, **call.data)

    @rpc(request=messages.RequestPasswordReset(), reply=messages.Nothing(), anonymous=True)
    def request_password_reset(self, call: Call) -> dict[str, Any]:
        """Ask for a new password; a mail follows if the address is a user's."""
        return request_password_reset(self.app, **call.data)

    @rpc(request=messages.ResetPassword(), reply=messages.Nothing(), anonymous=True)
    def reset_password(self, call: Call) -> dict[str, Any]:
        """Set a new password."""
        return reset_password(self.app, **call.data)

    @rpc(request=messages.ChangePassword(), reply=messages.Nothing())
    def change_password(self, call: Call) -> dict[str, Any]:
        """Set a new password in place of the one that is known."""
        return change_password(self.app, call.caller, **call.data)

    @rpc(request=messages.SignOut(), reply=messages.Nothing())
    def sign_out(self, call: Call) -> dict[str, Any]:
        """End a session."""
        return sign_out(self.app, call.caller, **call.data)

    @rpc(request=messages.Nothing(), reply=messages.OrganizationRecord(), scope="read")
    def get_organization(self, call: Call) -> dict[str, Any]:
        """The caller's organisation."""
        return get_organization(self.app, call.caller)

    @rpc(request=messages.AskBillingFacts(), reply=messages.BillingFacts(), scope="read")
    def billing_facts(self, call: Call) -> dict[str, Any]:
        """What an order of the caller's organisation is billed by."""
        return billing_facts(self.app, call.caller, **call.data)

    @rpc(request=messages.SetTaxCertificate(), reply=messages.OrganizationFacts())
    def set_tax_certificate(self, call: Call) -> dict[str, Any]:
        """For staff: an organisation is exempt from tax, or not."""
        return set_tax_certificate(self.app, call.caller, **call.data)

    @rpc(request=messages.PageRequest(), reply=messages.Addresses(), scope="read")
    def list_addresses(self, call: Call) -> dict[str, Any]:
        """The organisation's addresses."""
        return list_addresses(self.app, call.caller, **call.data)

    @rpc(request=messages.ById(), reply=messages.Address(), scope="read")
    def get_address(self, call: Call) -> dict[str, Any]:
        """One address."""
        return get_address(self.app, call.caller, **call.data)

    @rpc(request=messages.NewAddress(), reply=messages.Address(), scope="buy")
    def create_address(self, call: Call) -> dict[str, Any]:
        """Add an address."""
        return create_address(self.app, call.caller, **call.data)

    @rpc(request=messages.UpdateAddress(), reply=messages.Address(), scope="buy")
    def update_address(self, call: Call) -> dict[str, Any]:
        """Change an address."""
        return update_address(self.app, call.caller, **call.data)

    @rpc(request=messages.ById(), reply=messages.Nothing(), scope="buy")
    def delete_address(self, call: Call) -> dict[str, Any]:
        """Forget an address."""
        return delete_address(self.app, call.caller, **call.data)

    @rpc(request=messages.UpdateOrganization(), reply=messages.OrganizationFacts(), scope="admin")
    def update_organization(self, call: Call) -> dict[str, Any]:
        """Change the caller's organisation."""
        return update_organization(self.app, call.caller, **call.data)

    @rpc(request=messages.PageRequest(), reply=messages.Users(), scope="admin")
    def list_users(self, call: Call) -> dict[str, Any]:
        """The organisation's users."""
        return list_users(self.app, call.caller, **call.data)

    @rpc(request=messages.UpdateUser(), reply=messages.UserRecord(), scope="admin")
    def update_user(self, call: Call) -> dict[str, Any]:
        """Change a user's name or role, or whether to sign in at all."""
        return update_user(self.app, call.caller, **call.data)

    @rpc(request=messages.InviteUser(), reply=messages.Invitation(), scope="admin")
    def invite_user(self, call: Call) -> dict[str, Any]:
        """Invite somebody; a mail follows."""
        return invite_user(self.app, call.caller, **call.data)

    @rpc(request=messages.PageRequest(), reply=messages.Invitations(), scope="admin")
    def list_invitations(self, call: Call) -> dict[str, Any]:
        """Who was invited and has not accepted yet."""
        return list_invitations(self.app, call.caller, **call.data)

    @rpc(request=messages.ById(), reply=messages.Nothing(), scope="admin")
    def withdraw_invitation(self, call: Call) -> dict[str, Any]:
        """Take an invitation back."""
        return withdraw_invitation(self.app, call.caller, **call.data)

    @rpc(request=messages.ResetPassword(), reply=messages.Nothing(), anonymous=True)
    def accept_invitation(self, call: Call) -> dict[str, Any]:
        """Become a user of the organisation that invites."""
        return accept_invitation(self.app, **call.data)

    @rpc(request=messages.ById(), reply=messages.Nothing(), scope="admin")
    def deactivate_user(self, call: Call) -> dict[str, Any]:
        """Keep a user from signing in."""
        return deactivate_user(self.app, call.caller, **call.data)

    @rpc(request=messages.CreateApiKey(), reply=messages.ApiKey(), scope="admin")
    def create_api_key(self, call: Call) -> dict[str, Any]:
        """Keep the digest of a new API key."""
        return create_api_key(self.app, call.caller, **call.data)

    @rpc(request=messages.PageRequest(), reply=messages.ApiKeys(), scope="admin")
    def list_api_keys(self, call: Call) -> dict[str, Any]:
        """The organisation's API keys."""
        return list_api_keys(self.app, call.caller, **call.data)

    @rpc(request=messages.ById(), reply=messages.Nothing(), scope="admin")
    def revoke_api_key(self, call: Call) -> dict[str, Any]:
        """Stop an API key."""
        return revoke_api_key(self.app, call.caller, **call.data)

    @rpc(request=messages.SearchDeployments(), reply=messages.DeploymentPage(), scope="read")
    def search_deployments(self, call: Call) -> dict[str, Any]:
        """Deployments by the beginning of the id or a part of the name."""
        return search_deployments(self.app, call.caller, **call.data)

    @rpc(request=messages.ById(), reply=messages.DeploymentRecord(), scope="read")
    def get_deployment(self, call: Call) -> dict[str, Any]:
        """One deployment."""
        return get_deployment(self.app, call.caller, **call.data)

    @rpc(request=messages.ById(), reply=messages.Coverage(), scope="read")
    def get_coverage(self, call: Call) -> dict[str, Any]:
        """A deployment with the contracts that are bound to it."""
        return get_coverage(self.app, call.caller, **call.data)

    @rpc(request=messages.CheckDeployments(), reply=messages.VisibleDeployments(), scope="read")
    def check_deployments(self, call: Call) -> dict[str, Any]:
        """Which of these deployments the caller may name."""
        return check_deployments(self.app, call.caller, **call.data)

    @rpc(request=messages.ById(), reply=messages.Deployment(), scope="admin")
    def retire_deployment(self, call: Call) -> dict[str, Any]:
        """Let nothing new be bound to a deployment."""
        return retire_deployment(self.app, call.caller, **call.data)

    @rpc(request=messages.AddDeployment(), reply=messages.Deployment())
    def add_deployment(self, call: Call) -> dict[str, Any]:
        """For staff: register a deployment of a customer."""
        return add_deployment(self.app, call.caller, **call.data)

    @rpc(request=messages.Management(), reply=messages.Organization())
    def manage_organization(self, call: Call) -> dict[str, Any]:
        """For staff: an organisation manages another."""
        return manage_organization(self.app, call.caller, **call.data)

    @rpc(request=messages.Management(), reply=messages.Organization())
    def end_management(self, call: Call) -> dict[str, Any]:
        """For staff: it does so no longer."""
        return end_management(self.app, call.caller, **call.data)

    @rpc(request=messages.PageRequest(), reply=messages.Organizations(), scope="read")
    def list_managed(self, call: Call) -> dict[str, Any]:
        """The organisations that the caller's manages."""
        return list_managed(self.app, call.caller, **call.data)

    @rpc(request=messages.SearchOrganizations(), reply=messages.OrganizationPage())
    def search_organizations(self, call: Call) -> dict[str, Any]:
        """For staff: find a customer."""
        return search_organizations(self.app, call.caller, **call.data)

    @rpc(request=messages.FindOrganization(), reply=messages.OrganizationFacts())
    def find_organization(self, call: Call) -> dict[str, Any]:
        """For staff: one customer."""
        return find_organization(self.app, call.caller, **call.data)

    @rpc(request=messages.OrderFactsPage(), reply=messages.OrderFacts())
    def order_facts(self, call: Call) -> dict[str, Any]:
        """What is bound for every order; for staff, who reconcile."""
        return order_facts(self.app, call.caller, **call.data)

    @consume_many("cart.order_paid.v1", messages.OrderPaid())
    def on_order_paid(self, events: list[Event]) -> None:
        """Bind contracts and licences."""
        bind_orders(self.app, events)

    @every(_ISSUE_EVERY_S)
    def issue_links(self) -> None:
        """Mail the links that were asked for; woken by whoever asks."""
        issue_links(self.app)

    @every(_HOUR_S)
    def sweep_sessions(self) -> None:
        """Forget sessions that have expired."""
        sweep_sessions(self.app)
