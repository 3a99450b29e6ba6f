"""The mails of Punchcard: what happened elsewhere, told to the people it concerns."""
