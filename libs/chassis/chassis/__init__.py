"""The microservice chassis: everything that makes nameko safe and fast, and the only place that knows nameko."""
