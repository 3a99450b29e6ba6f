"""Threads that share one stock ClusterRpcProxy. Prints a line for each right answer.

``python -m stock.shared_proxy AMQP_URI THREADS CALLS``
"""

from __future__ import annotations

import contextlib
import sys
import threading

from nameko.standalone.rpc import ClusterRpcProxy


def main(uri: str, threads: int, calls: int) -> None:
    with ClusterRpcProxy({"AMQP_URI": uri}) as proxy:

        def ask(number: int) -> None:
            for turn in range(calls):
                text = f"{number}-{turn}"
                with contextlib.suppress(Exception):
                    if proxy.stock.echo(text=text) == {"text": text}:
                        sys.stdout.write(f"{text}\n")
                        sys.stdout.flush()

        asking = [threading.Thread(target=ask, args=(number,)) for number in range(threads)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
