"""Remote calls: a thread-safe client with deadlines, and the server's side of them."""

from chassis.rpc.client import RpcClient, circuit_samples

__all__ = ["RpcClient", "circuit_samples"]
