"""What is asked of the publisher, what became of it, and what it refuses with. No work is done here."""

from __future__ import annotations

from dataclasses import dataclass

from fastgw.config.errors import Problem
from fastgw.gateway.document.model import BaseOptions
from fastgw.gateway.document.process import EMBEDDED
from fastgw.versions.version import Changes


@dataclass(frozen=True, slots=True)
class Order:
    """`expected`: the version that it builds on, None for whichever there is; `whole`: nothing of that stays."""

    what: str
    by: str
    note: str = ""
    expected: int | None = None
    dry_run: bool = False
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it. `version` is what is current after it, taken or not; the rest of a dry run says what would
    be."""

    at: float  # wall clock
    by: str
    ok: bool
    version: int
    changed: bool = False
    problems: tuple[Problem, ...] = ()
    needs_restart: tuple[str, ...] = ()  # what has changed in the document and waits for a restart
    hash: str = ""
    changes: Changes | None = None
    routes: tuple[str, ...] = ()  # that behave in another way, are new or gone; through their upstreams as well

    def plain(self) -> dict[str, object]:
        return {
            "at": self.at,
            "by": self.by,
            "ok": self.ok,
            "version": self.version,
            "changed": self.changed,
            "errors": [str(problem) for problem in self.problems],
            "needs_restart": list(self.needs_restart),
        }


class NoSuchVersion(Exception):
    """There is no version with this number (any more)."""

    def __init__(self, number: int) -> None:
        super().__init__(f"there is no version {number}; see which there are with GET /api/config/versions")
        self.number = number


class EditRefused(ValueError):
    """Raised by a change of a part of the document that cannot be made: `status` and `reason` of the answer."""

    def __init__(self, status: int, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail


def needs_restart(running: BaseOptions, wanted: BaseOptions) -> tuple[str, ...]:
    """The keys that differ and can only change at a restart: what is made before the first fork."""
    pairs: dict[str, tuple[object, object]] = {
        "listeners": (
            [listener.address for listener in running.listeners],
            [listener.address for listener in wanted.listeners],
        ),
        "workers": (running.workers, wanted.workers),
        "admin.address": (running.admin.address, wanted.admin.address),
        "store": (_store(running), _store(wanted)),
        "log.access": (running.log.access, wanted.log.access),
        # From one server to another is done at once; the embedded one is started and ended with the gateway.
        "redis.url": (_embeds(running), _embeds(wanted)),
    }
    return tuple(key for key, (old, new) in pairs.items() if old != new)


def _store(base: BaseOptions) -> object:
    """Versions stay where they are, also when the limits move to another server."""
    if base.store.kind == "file" or base.redis is None:
        return base.store
    return base.redis.url, base.redis.prefix


def _embeds(base: BaseOptions) -> bool:
    return base.redis is not None and base.redis.url == EMBEDDED
