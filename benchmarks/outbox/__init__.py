"""From the commit of an event to the commit of its effect, and how a bare loop of py-amqp does the same."""
