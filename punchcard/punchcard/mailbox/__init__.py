"""The local mailbox: where the mails of a store that runs on this machine can be read."""

from punchcard.mailbox.folder import Mail, MailFolder
from punchcard.mailbox.pages import create_app

__all__ = ["Mail", "MailFolder", "create_app"]
