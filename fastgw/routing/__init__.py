"""Which route an exchange belongs to: hosts, paths, methods, header conditions. No policy and no I/O."""
