"""The bus: topology, links, consumers, retries and dead letters, the outbox relay."""
