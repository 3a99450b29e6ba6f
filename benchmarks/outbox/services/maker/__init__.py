"""Makes events."""
