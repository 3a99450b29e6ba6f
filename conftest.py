"""Fixtures of the whole workspace."""

# pytest takes the folders gateway/ and punchcard/ for packages of those names; once imported, the real ones win
import gateway
import punchcard

pytest_plugins = ["chassis.testing.plugin"]
__all__ = ["gateway", "punchcard"]
