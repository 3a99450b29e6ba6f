"""The HTTP gateway: HTTP in, RPC out. It owns nothing and decides nothing."""
