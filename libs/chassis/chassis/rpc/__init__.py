"""Remote calls: a thread-safe client with deadlines, and the server's side of them."""

from chassis.rpc.client import RpcClient

__all__ = ["RpcClient"]
