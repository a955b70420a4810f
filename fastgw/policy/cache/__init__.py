"""Answers that are kept and served again (RFC 9111)."""
