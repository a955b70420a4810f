"""One entry a call of the admin API: from the same table come what is served and what `/api/openapi.json` says of it.

Here is the vocabulary; the entries stand beside what they call, api.py puts them together. No entry decides who may
come in, and none reads a query, a body or `If-Match` by itself: a handler gets them read, in a `Call`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

Schema = Mapping[str, Any]

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"  # RFC 7396
PROBLEM: Final = "application/problem+json"  # RFC 9457
TEXT: Final = "text/plain"
EVENTS: Final = "text/event-stream"

SMALL: Final = 1024 * 1024  # bytes of a body
LARGE: Final = 64 * 1024 * 1024  # of a whole document: 10,000 routes with every policy are 9 MB

NEVER: Final = "never"
OPTIONAL: Final = "optional"
REQUIRED: Final = "required"


class Unacceptable(Exception):
    """The request cannot be served as it is; becomes a problem. Raised by whoever reads one."""

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str,
        errors: tuple[tuple[str, str], ...] = (),
        fields: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.errors = errors  # path and message of each
        self.fields = fields


@dataclass(frozen=True, slots=True)
class Query:
    """A parameter. `read` makes a value of its text, or raises ValueError in words; `schema` is of the text."""

    name: str
    description: str
    schema: Schema
    read: Callable[[str], object]
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Body:
    schema: Schema
    kinds: tuple[str, ...] = (JSON,)
    limit: int = SMALL
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """`schema` is None where there is no JSON to describe."""

    status: int
    description: str
    schema: Schema | None = None
    kind: str = JSON
    tagged: bool = False  # has an ETag


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was admitted and read."""

    request: web.Request
    query: Mapping[str, Any]
    body: Any = None
    expected: int | None = None  # the version that the caller has seen; None: any

    @property
    def name(self) -> str:
        """What stands in the path for {name}, decoded once."""
        return self.request.match_info["name"]

    @property
    def by(self) -> str:
        return caller(self.request)


def caller(request: web.Request) -> str:
    """Who it is, for the list of versions and the audit."""
    return f"api, {request.remote}" if request.remote else "api"


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`refusals` are the statuses beyond those that follow from the rest (a body: 400, 413, 415, and so on); `changes`:
    who tries it and is refused leaves a line in the audit."""

    method: str
    path: str
    handler: Handler
    summary: str
    answers: tuple[Answer, ...]
    query: tuple[Query, ...] = ()
    body: Body | None = None
    if_match: str = NEVER
    refusals: tuple[int, ...] = ()
    group: str = "gateway"
    changes: bool = False
