"""gunicorn's configuration: one process, many threads. Scale by running more of it."""

from __future__ import annotations

from typing import Any

from chassis.observability import logs
from chassis.settings import Environment
from gateway import wsgi
from gateway.settings import read

_settings = read(Environment())

wsgi_app = "gateway.wsgi:application()"
bind = _settings.bind
reuse_port = _settings.reuse_port  # several gateways share one port of one machine
workers = 1
#: Threads that say "over capacity" and "I am alive" while the others work or wait for their turn.
_SPARE_THREADS = 8
threads = _settings.threads + _settings.waiting + _SPARE_THREADS
worker_class = "gateway.worker.Worker"
preload_app = False  # the connections to the bus must be made after the fork
timeout = 60  # of a worker whose main loop hangs; requests have deadlines of their own
graceful_timeout = 30
keepalive = 15
limit_request_line = 4094
limit_request_fields = 50
limit_request_field_size = 4096
control_socket_disable = True  # nobody steers a running gateway; several may share a home folder
forwarded_allow_ips = ""  # X-Forwarded-For is believed by GATEWAY_TRUSTED_PROXIES only
accesslog = None  # gateway.edge writes it, without what must not be logged
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "root": {"level": _settings.log_level},
    "loggers": {"gunicorn.error": {"level": _settings.log_level, "propagate": True}},
}


def when_ready(_server: Any) -> None:
    """The arbiter logs like everything else from here on."""
    logs.configure("gateway", _settings.log_level)


def post_fork(_server: Any, _worker: Any) -> None:
    """So does a worker."""
    logs.configure("gateway", _settings.log_level)


def worker_exit(_server: Any, worker: Any) -> None:
    """Close what the application opened, after its last request."""
    wsgi.stop(getattr(worker, "wsgi", None))
