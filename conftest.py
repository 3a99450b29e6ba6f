"""Fixtures of the whole workspace."""

pytest_plugins = ["chassis.testing.plugin"]
