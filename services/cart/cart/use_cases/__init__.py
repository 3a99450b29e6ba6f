"""What cart can do: one verb a module."""
