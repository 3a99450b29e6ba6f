"""``python -m stock CLASS AMQP_URI HTTP_PORT``: what ``nameko run`` does, with settings from the command line."""

# ruff: noqa: E402  # the patch must come before anything that opens a socket or takes a lock
from __future__ import annotations

import eventlet

eventlet.monkey_patch()

import logging
import sys

from nameko.cli.run import run

from stock import service

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    run([getattr(service, sys.argv[1])], {"AMQP_URI": sys.argv[2], "WEB_SERVER_ADDRESS": f"127.0.0.1:{sys.argv[3]}"})
