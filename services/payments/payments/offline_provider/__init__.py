"""The offline payment provider: takes test cards and keeps a book of its own, so that all can be tried without an
account anywhere. It knows nothing of the payments service, which only speaks HTTP to it.

Run it: ``python -m payments.offline_provider --port 8090 --book provider.db --key SECRET``.
"""

from payments.offline_provider.app import create_app
from payments.offline_provider.cards import PROVIDER_TOKENS
from payments.offline_provider.webhooks import Target

__all__ = ["PROVIDER_TOKENS", "Target", "create_app"]
