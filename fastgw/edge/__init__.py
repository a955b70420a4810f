"""The client's side of the data plane: listeners, connections, flow control, deadlines. Policies: see gateway."""
