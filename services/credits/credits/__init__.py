"""The ledger of support credits, and the support credit cards: grants, claims, balances."""
