"""The client's side of the data plane: listeners, connections, flow control, deadlines. Policies and attempts: gateway."""
