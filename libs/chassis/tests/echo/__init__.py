"""A small service for the tests of the chassis."""
