"""Rules of accounts: pure Python, no transport and no storage."""
