"""Rules of deliveries: no input, no output."""
