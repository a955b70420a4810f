"""What GET /api/overview answers, for its description: every number with what it means.

The numbers themselves are made by overview.py and recent.py.
"""

from __future__ import annotations

from fastgw.control.answers import FLAG, INTEGER, NUMBER, WORD, list_of, object_of
from fastgw.control.endpoints import Schema


def _number(means: str) -> Schema:
    return {**NUMBER, "description": means}


def _milliseconds(means: str) -> Schema:
    """Of a time in which nothing happened there is none."""
    return {"type": ["number", "null"], "description": f"milliseconds; {means}; null: nothing was counted"}


_REQUESTS = _number("exchanges that ended, a second")
_REFUSED = _number("of them turned away by the gateway (400 to 498), a second")
_ERRORS = _number("of them with a status of 500 or above, whoever made it, a second")
_P50 = _milliseconds("half of the exchanges took less")
_P99 = _milliseconds("99 of 100 exchanges took less")
_OWN = "without the time of the upstream"

_POINT = object_of(
    {
        "at": _number("seconds since the epoch, at the end of the interval"),
        "requests_s": _REQUESTS,
        "refused_s": _REFUSED,
        "errors_s": _ERRORS,
        "p50_ms": _P50,
        "p99_ms": _P99,
        "own_p50_ms": _milliseconds(f"half of the exchanges took less, {_OWN}"),
        "own_p99_ms": _milliseconds(f"99 of 100 exchanges took less, {_OWN}"),
        "upstream_p50_ms": _milliseconds("half of those that reached an upstream took less there"),
        "upstream_p99_ms": _milliseconds("99 of 100 of those that reached an upstream took less there"),
        "in_flight": INTEGER,
        "connections": INTEGER,
    }
)
_ROUTE = object_of(
    {
        "route": {**WORD, "description": "its name; - for what matched none"},
        "requests_s": _REQUESTS,
        "refused_s": _REFUSED,
        "errors_s": _ERRORS,
        "p50_ms": _P50,
        "p99_ms": _P99,
        "own_p99_ms": _milliseconds(f"99 of 100 exchanges took less, {_OWN}"),
    }
)
_UPSTREAM = object_of(
    {
        "upstream": WORD,
        "requests_s": _number("exchanges that reached it, a second"),
        "p50_ms": _P50,
        "p99_ms": _P99,
        "retries_s": _number("attempts beyond the first one, a second"),
        "in_flight": INTEGER,
    }
)
_REASON = object_of(
    {
        "reason": WORD,
        "route": WORD,
        "per_s": _number("exchanges that ended so, a second"),
        "total": {**INTEGER, "description": "since the gateway was started"},
    }
)
_LIMIT = object_of(
    {
        "route": {**WORD, "description": "its name; - for the limits before routing"},
        "limit": WORD,
        "admitted_s": NUMBER,
        "refused_s": NUMBER,
        "shadow_s": _number("what it would have refused, a second"),
        "mode": {
            "type": "object",
            "description": "decisions of the last ten seconds by who took them: redis, lease, local, allow, deny",
            "additionalProperties": INTEGER,
        },
    }
)

OVERVIEW: Schema = object_of(
    {
        "at": _number("seconds since the epoch, of the last sample"),
        "interval_s": NUMBER,
        "version": INTEGER,
        "points": {**list_of(_POINT), "description": "one for each interval of the last ten minutes, oldest first"},
        "routes": {**list_of(_ROUTE), "description": "the last ten seconds; busy in the last ten minutes, busiest first"},
        "upstreams": list_of(_UPSTREAM),
        "reasons": {**list_of(_REASON), "description": "why exchanges ended otherwise than ok"},
        "limits": list_of(_LIMIT),
        "truncated": {**FLAG, "description": "a table has more than 100 rows; /metrics has all of them"},
    }
)
