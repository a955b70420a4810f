"""The store of accepted documents. Never on the path of a request."""
