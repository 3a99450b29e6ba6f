"""A real service of the chassis: schemas both ways, a database, timers, an outbox. Only its one method is a toy."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from chassis.messages import RequestSchema
from chassis.service import Call, Provided, Runtime, Service, rpc


class Text(RequestSchema):
    """A line of text, asked and answered."""

    text = fields.String(required=True)


def bootstrap(runtime: Runtime) -> Runtime:
    """The application is what the chassis provides: `Service` needs its database."""
    return runtime


class EchoService(Service):
    """Answers what it was asked."""

    name = "echo"
    app = Provided(bootstrap)

    @rpc(request=Text(), reply=Text(), anonymous=True)
    def echo(self, call: Call) -> dict[str, Any]:
        """The request."""
        return call.data
