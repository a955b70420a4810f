"""POST /api/explain: what would become of a request on this gateway now, and why. Nothing is sent anywhere.

The rehearsal itself is gateway's; here are the document, the keys and the targets that this gateway knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from aiohttp import web

from fastgw.clock import Clock
from fastgw.control.answers import ANYTHING, INTEGER, WORD, found, json_answer, list_of, object_of, or_null
from fastgw.control.endpoints import Body, Call, Endpoint, Schema
from fastgw.control.published import History
from fastgw.control.upstreams import Upstreams
from fastgw.control.wishes import Reader, read_wish
from fastgw.gateway.asked import DEFAULT_CLIENT, Request, client_address, header_field, parse_request
from fastgw.gateway.document.cases import compiled
from fastgw.gateway.explanation import explained
from fastgw.gateway.snapshot import Snapshot

MAX_FIELDS: Final = 200  # of a request in a body; more than any listener takes

_WISH: Schema = object_of(
    {
        "request": {"type": "string", "examples": ["GET https://api.example.com/orders/7"]},
        "headers": {"type": "object", "additionalProperties": {"type": "string"}},
        "client": {"type": "string", "description": f"the address it comes from; default: {DEFAULT_CLIENT}"},
    },
    optional=("headers", "client"),
)
_OUTCOME: Schema = object_of(
    {
        "request": WORD,
        "version": INTEGER,
        "client": WORD,
        "consumer": or_null("string"),
        "route": or_null("string"),
        "match": ANYTHING,
        "others": list_of(object_of({"route": WORD, "misses": list_of(WORD)})),
        "status": or_null("integer"),
        "reason": WORD,
        "source": WORD,
        "rule": WORD,
        "detail": WORD,
        "upstream": or_null("string"),
        "candidates": list_of(object_of({"upstream": WORD, "weight": INTEGER})),
        "targets": list_of({"type": "object"}),
        "path": or_null("string"),
        "query": or_null("string"),
        "headers": {"type": "object", "additionalProperties": WORD},
        "chain": list_of(object_of({"policy": WORD, "verdict": WORD, "detail": WORD})),
        "limits": list_of({"type": "object"}),
        "cache": ANYTHING,
        "breaker": ANYTHING,  # the upstream's own circuit in each worker, as GET /api/upstreams shows it
    }
)


class Explainer:
    """`keys` gives the last `keys` message of each source."""

    def __init__(
        self,
        history: History,
        clock: Clock,
        upstreams: Upstreams,
        keys: Callable[[], Iterable[Mapping[str, Any]]],
    ) -> None:
        self._history = history
        self._clock = clock
        self._upstreams = upstreams
        self._keys = keys
        self._snapshot: Snapshot | None = None
        self._one_at_a_time = asyncio.Lock()  # it may take a second, of which nobody needs two

    def endpoints(self) -> tuple[Endpoint, ...]:
        return (
            Endpoint(
                "POST", "/api/explain", self._explain, "What would become of a request, and why. Nothing is sent.",
                (found("its outcome", _OUTCOME),), (), Body(_WISH),
            ),
        )  # fmt: skip

    async def explain(self, body: object) -> dict[str, Any]:
        """Raises Unacceptable."""
        request = _read(body)
        keys = [dict(message) for message in self._keys()]
        async with self._one_at_a_time:
            outcome = await asyncio.to_thread(self._run, request, keys)
        live = self._upstreams.one(outcome["upstream"]) if outcome["upstream"] else None
        outcome["breaker"] = None if live is None else live["breaker"]
        if live is not None:
            outcome["targets"] = live["targets"]
        return outcome

    async def _explain(self, call: Call) -> web.Response:
        return json_answer(await self.explain(call.body))

    def _run(self, request: Request, keys: list[dict[str, Any]]) -> dict[str, Any]:
        """In a thread: a first compilation of 10,000 routes takes 0.3 s."""
        current = self._history.current
        snapshot = self._snapshot = compiled(current.document, self._snapshot)
        return {**explained(snapshot, self._clock, request, keys), "version": current.version}


def _read(body: object) -> Request:
    readers: dict[str, Reader] = {"request": _request, "headers": _fields, "client": _address}
    wish = read_wish(body, readers, optional=("headers", "client"))
    request: Request = wish["request"]
    return replace(request, headers=wish.get("headers", ()), client=wish.get("client", DEFAULT_CLIENT))


def _request(value: Any) -> Request:
    if not isinstance(value, str):
        raise ValueError('write text, as in "GET https://api.example.com/orders/7"')
    return parse_request(value)


def _address(value: Any) -> str:
    return client_address(value if isinstance(value, str) else "")


def _fields(value: Any) -> tuple[tuple[str, str], ...]:
    right = isinstance(value, Mapping) and all(isinstance(each, str) for each in value.values())
    if not right or len(value) > MAX_FIELDS:
        raise ValueError(f'write an object of up to {MAX_FIELDS} names and values, as in {{"x-api-version": "2"}}')
    return tuple(header_field(name, each) for name, each in value.items())
