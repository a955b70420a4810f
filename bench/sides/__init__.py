"""One file per program that can stand between client and upstream: its configuration and its command line."""
