"""nameko's container with a shorter way through a worker.

Stock nameko times and logs eight stages of each worker for a debug log that we never write; the chassis logs a request
or an event once, with its outcome.
"""

from __future__ import annotations

import sys
from typing import Any

from nameko.containers import ServiceContainer, WorkerContext
from nameko.exceptions import ContainerBeingKilled


class Container(ServiceContainer):
    """Runs workers as stock nameko does: inject, set up, call, handle the result, tear down."""

    def spawn_worker(
        self, entrypoint: Any, args: Any, kwargs: Any, context_data: Any = None, handle_result: Any = None
    ) -> Any:
        if self._being_killed:
            raise ContainerBeingKilled
        worker = WorkerContext(self, self.service_cls(), entrypoint, args, kwargs, data=context_data)
        greenlet = self._worker_pool.spawn(self._run_worker, worker, handle_result)
        greenlet.link(self._handle_worker_thread_exited, worker)
        self._worker_threads[worker] = greenlet
        return worker

    def _run_worker(self, worker_ctx: Any, handle_result: Any) -> None:
        self._inject_dependencies(worker_ctx)
        self._worker_setup(worker_ctx)
        result = exc_info = None
        method = getattr(worker_ctx.service, worker_ctx.entrypoint.method_name)
        try:
            result = method(*worker_ctx.args, **worker_ctx.kwargs)
        except Exception:
            exc_info = sys.exc_info()
        if handle_result is not None:
            result, exc_info = handle_result(worker_ctx, result, exc_info)
        self._worker_result(worker_ctx, result, exc_info)
        del exc_info  # it refers to this frame, which refers to it
        self._worker_teardown(worker_ctx)
