"""What the fault tests break a store with: a store whose parts can be killed, a TCP proxy, seeds, load."""
