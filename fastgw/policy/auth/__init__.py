"""Who sent a request: API keys and JWTs."""
