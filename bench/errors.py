"""What ends a run: a missing tool, a side that does not start, a measurement that cannot be trusted."""

from __future__ import annotations


class BenchError(Exception):
    """The run cannot go on; the text says what is wrong and what would be right."""


class VoidError(BenchError):
    """The load met an error: a comparison with failures in it compares nothing, so the whole run is void."""
