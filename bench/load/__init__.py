"""One file per way to make load, and what every request of it looks like."""
