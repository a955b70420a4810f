"""The admin process: API, metrics, publisher of configurations, resolver of names."""
