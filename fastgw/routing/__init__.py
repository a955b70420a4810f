"""From host, method, path and headers to a route."""
