"""Who may do what, and where it runs: organisations, users, credentials, deployments and what is bound to them."""
