"""One policy, one file: its Options, and what it does to an exchange. Their order is in gateway/phases.py."""
