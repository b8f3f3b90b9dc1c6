"""Which model answers a request that names none, or a route."""
