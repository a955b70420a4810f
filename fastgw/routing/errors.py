"""What is wrong with a pattern of a route. Never raised for a request."""

from __future__ import annotations


class PatternError(ValueError):
    """A host or path of `match` that can mean nothing. The text says what is wrong and what would be right."""
