"""Host patterns of routes: an exact name, `*.suffix`, or any. Paths and what lies behind a host live elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from fastgw.errors import HttpError
from fastgw.http1.host import split_host
from fastgw.routing.errors import PatternError


class HostKind(IntEnum):
    """In order of precedence."""

    EXACT = 0
    WILDCARD = 1
    ANY = 2


@dataclass(frozen=True, slots=True)
class HostPattern:
    """`name` is what is looked up: the lower-case host, or what stands behind `*.`, or nothing."""

    kind: HostKind
    name: bytes

    def rank(self) -> tuple[int, int, bytes]:
        """Sorts in order of precedence: exact, then wildcards with more labels, then any."""
        labels = self.name.count(b".") if self.kind is HostKind.WILDCARD else 0
        return (self.kind, -labels, self.name)


ANY_HOST = HostPattern(HostKind.ANY, b"")


def parse_host(text: str) -> HostPattern:
    """`api.example.com`, `*.example.com` (that suffix below any label, not itself), `[::1]`, or `*`."""
    if text == "*":
        return ANY_HOST
    kind = HostKind.EXACT
    name = text
    if text.startswith("*."):
        kind, name = HostKind.WILDCARD, text[2:]
    if "*" in name:
        raise PatternError(
            f"the host {text!r} has a `*` that is not its first label; write *.{name.strip('*.')}"
        )
    if not name.isascii():
        raise PatternError(f"the host {text!r} is not ASCII; write its xn-- form")
    try:
        host, port = split_host(name.encode("ascii"))
    except HttpError as error:
        raise PatternError(f"the host {text!r} is not valid: {error.detail}") from None
    if port or name.endswith(":"):
        raise PatternError(
            f"the host {text!r} has a port; routes are matched by name only, write it without one"
        )
    if kind is HostKind.WILDCARD and host.startswith(b"["):
        raise PatternError(f"the host {text!r} puts a wildcard before an address; write {name}")
    return HostPattern(kind, host)
