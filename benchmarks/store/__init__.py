"""Complete card checkouts over HTTP against the store as processes on RabbitMQ and PostgreSQL."""
