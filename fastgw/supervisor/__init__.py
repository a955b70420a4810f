"""The parent of all: sockets, processes, signals. No event loop, no threads, no HTTP."""
