"""The gateway beside its peers: CPU time per request, bodies, memory and latency, in one interleaved run."""
