"""The admin process: API, metrics, publisher of configurations, resolver of names. Never on the path of a request."""
