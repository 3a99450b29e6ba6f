"""RPC round trips a second, two processes: our chassis, stock nameko, raw py-amqp."""
