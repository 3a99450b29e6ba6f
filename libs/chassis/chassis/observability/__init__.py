"""Logging (metrics and tracing join it here)."""
