"""Upstreams: their options, the registry of what survives reloads, pools, connections, balance."""
