"""The microservice chassis: everything that makes nameko safe and fast, and the only place that knows nameko."""

import warnings

# eventlet advises to leave eventlet, each time it is imported; docs/adr/0001 says how we would
warnings.filterwarnings("ignore", message="\nEventlet is deprecated")
