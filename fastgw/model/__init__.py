"""Plain records that the floors above share: no I/O, no policy, no process state."""
