"""Where exchanges are accounted: the ledger, the series in shared memory, the access log."""
