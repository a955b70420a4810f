"""Request targets (RFC 9112 3.2): one normalised path, so that what is matched is what is forwarded.

Lives here: the four forms of a target, normalisation of a path, refusal of paths with two meanings. May not:
routes, rewrites, the length of a target (414 is decided where bytes arrive).
"""

from __future__ import annotations

import re
from typing import Final

from fastgw.errors import HttpError, Reason
from fastgw.http1.host import split_host

# Visible ASCII without `#` and `\`; a path also ends at `?`. Characters that RFC 3986 wants escaped but that
# browsers send raw (`"<>[]^`{|}`) pass as they are: they have one meaning everywhere.
_PATH: Final = rb'/[!"$->@-\[\]-~]*'
_PLAIN_PATH: Final = rb'/[!"$&->@-\[\]-~]*'  # the same without `%`
# Browsers send `\` in a query raw, and no server reads a path from there.
_QUERY: Final = rb'\?[!"$-~]*'

# The common target in one match. With the search for "/." (a segment that starts with a dot) that is all
# there is to check: 0.4 us without a query, 0.6 us with one; the careful way costs 1.5 to 4 us.
_plain: Final = re.compile(rb"%b(%b)?" % (_PLAIN_PATH, _QUERY)).fullmatch
_ORIGIN: Final = re.compile(rb"(%b)(%b)?" % (_PATH, _QUERY))
_WHOLE_PATH: Final = re.compile(_PATH)
# Authority up to the first byte that cannot be in one; then as an origin form, whose path may be empty.
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#\\@]*)((?:%b)?)(%b)?" % (_PATH, _QUERY), re.IGNORECASE)

_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_HEX: Final = "0123456789ABCDEFabcdef"
_ESCAPE: Final = re.compile(rb"%[0-9A-Fa-f]{2}")
_CODES: Final = {f"%{high}{low}".encode(): int(high + low, 16) for high in _HEX for low in _HEX}
# RFC 3986 6.2.2: unreserved escapes are the characters themselves, the others have upper-case digits.
_NORMAL: Final = {
    escape: bytes([code]) if code in _UNRESERVED else escape.upper() for escape, code in _CODES.items()
}
_DECODED: Final = {escape: bytes([code]) for escape, code in _CODES.items()}
_SEPARATOR: Final = re.compile(rb"[/\\]")
# `..;x` is `..` to servlet containers, and a plain name to everybody else.
_DOTS_WITH_PARAMETERS: Final = re.compile(rb"\.\.?;.*", re.DOTALL)


def parse_target(raw: bytes, method: bytes) -> tuple[bytes, bytes, bytes | None]:
    """(normalised path, query as it came with its `?` or b"", authority of an absolute form or None).

    The authority is in lower case, its port without zeros in front. `OPTIONS *` has the path b"*".
    Raises HttpError(bad_request)."""
    match = _plain(raw)
    if match is not None and b"/." not in raw:
        if match.lastindex is None:
            return raw, b"", None
        at = match.start(1)
        return raw[:at], raw[at:], None
    return _careful(raw, method)


def normalise_path(path: bytes) -> bytes:
    """One spelling per path: dot segments removed, unreserved escapes decoded, other escapes in upper case.

    Idempotent; what it returns holds no dot segment, neither literally nor decoded. Raises HttpError."""
    if not _WHOLE_PATH.fullmatch(path):
        raise HttpError(Reason.BAD_REQUEST, "the path does not start with `/` or holds an illegal byte")
    if b"%" in path:
        _refuse_hidden(path)
        path = _ESCAPE.sub(_normal, path)
    return _without_dots(path) if b"/." in path else path


def _careful(raw: bytes, method: bytes) -> tuple[bytes, bytes, bytes | None]:
    if method == b"CONNECT" and raw[:1] != b"/":
        # RFC 9112 3.2.3. The method is refused with 405 later; the target still has to be one.
        return b"/", b"", _authority(raw)
    match = _ORIGIN.fullmatch(raw)
    if match is not None:
        return normalise_path(match[1]), match[2] or b"", None
    if raw == b"*":
        if method == b"OPTIONS":
            return b"*", b"", None
        raise HttpError(Reason.BAD_REQUEST, "the target `*` is for OPTIONS only")
    match = _ABSOLUTE.fullmatch(raw)
    if match is None:
        raise HttpError(Reason.BAD_REQUEST, "the target is no path and no http URL, or holds an illegal byte")
    authority, path, query = _authority(match[1]), match[2], match[3] or b""
    if not path and not query and method == b"OPTIONS":
        return b"*", b"", authority  # RFC 9112 3.2.4
    return normalise_path(path or b"/"), query, authority


def _authority(raw: bytes) -> bytes:
    name, port = split_host(raw)
    return name + b":" + port if port else name


def _refuse_hidden(path: bytes) -> None:
    """Raise for escapes that somebody behind us could read as another path."""
    escapes = _ESCAPE.findall(path)
    if len(escapes) != path.count(b"%"):
        raise HttpError(Reason.BAD_REQUEST, "the path holds a `%` without two hex digits")
    if b"%00" in escapes:
        raise HttpError(Reason.BAD_REQUEST, "the path holds an escaped NUL")
    for segment in path.split(b"/"):
        if b"%" not in segment:
            continue  # literal: `_without_dots` sees it
        for piece in _SEPARATOR.split(_ESCAPE.sub(_decoded, segment)):
            if piece in (b".", b"..") or _DOTS_WITH_PARAMETERS.fullmatch(piece):
                raise HttpError(Reason.BAD_REQUEST, "the path hides a dot segment in escapes")


def _without_dots(path: bytes) -> bytes:
    """RFC 3986 5.2.4, but a path that climbs above the root is refused. An empty segment is a segment."""
    segments = path.split(b"/")
    kept: list[bytes] = []
    for segment in segments[1:]:
        if segment == b"..":
            if not kept:
                raise HttpError(Reason.BAD_REQUEST, "the path climbs above the root")
            kept.pop()
        elif segment != b".":
            if segment[:1] == b"." and _DOTS_WITH_PARAMETERS.fullmatch(segment):
                raise HttpError(Reason.BAD_REQUEST, "the path holds a dot segment with parameters")
            kept.append(segment)
    if segments[-1] in (b".", b".."):
        kept.append(b"")  # `/a/.` and `/a/b/..` are the folder `/a/`
    return b"/" + b"/".join(kept)


def _normal(match: re.Match[bytes]) -> bytes:
    return _NORMAL[match[0]]


def _decoded(match: re.Match[bytes]) -> bytes:
    return _DECODED[match[0]]
