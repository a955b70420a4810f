"""Token buckets: in the store, leased from it, and in process while it does not answer. No HTTP."""
