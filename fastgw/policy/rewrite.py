"""Rewrites: what of the path and of the headers is changed on the way through.

Options, and what they become when a route is compiled. Writing heads is not done here: `gateway` asks.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

from fastgw.config.errors import shown
from fastgw.config.fields import FieldValue, List, field_name
from fastgw.config.options import Options, wrong
from fastgw.errors import HttpError
from fastgw.http1.target import normalise_path

PREFIX = re.compile(r"(?:/(?:[!$&'()*+,;=:@A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})+)+")

# Message length, connection and routing are the gateway's own (RFC 9112 section 6, RFC 9110 section 7.6.1): a rule
# that changed them could split a message in two.
UNTOUCHABLE = frozenset(
    {"connection", "content-length", "expect", "host", "http2-settings", "keep-alive", "proxy-connection", "te",
     "trailer", "transfer-encoding", "upgrade"}
)  # fmt: skip


def _prefix(value: object) -> str:
    if type(value) is not str or not PREFIX.fullmatch(value) or re.search(r"/\.\.?(?:/|\Z)", value):
        raise wrong(f"{shown(value)} is no prefix; write a path without a last slash, as in /v2")
    try:
        normalise_path(value.encode("ascii"))
    except HttpError as error:
        raise wrong(f"{shown(value)} is no prefix ({error.detail}); write for example /v2") from None
    return value


def _changeable(value: object) -> str:
    name = field_name(value)
    if name in UNTOUCHABLE:
        cure = "use the upstream's preserve_host" if name == "host" else "remove this line"
        raise wrong(f"the gateway sets {name} itself; {cure}")
    return name


Prefix = Annotated[str, PlainValidator(_prefix), WithJsonSchema({"type": "string", "examples": ["/v2"]})]
ChangeableName = Annotated[str, PlainValidator(_changeable), WithJsonSchema({"type": "string"})]


class PathRewriteOptions(Options):
    """First the one, then the other."""

    strip_prefix: Prefix | None = None
    add_prefix: Prefix | None = None


class HeaderRewriteOptions(Options):
    """`set` replaces whatever was there under that name."""

    set: dict[ChangeableName, FieldValue] = Field({}, description="names and values")
    remove: List[ChangeableName] = ()

    @model_validator(mode="after")
    def _one_or_the_other(self) -> HeaderRewriteOptions:
        for name in self.remove:
            if name in self.set:
                raise wrong(f"{name} is both set and removed; remove one of the two (set replaces)")
        return self


class RewriteOptions(Options):
    path: PathRewriteOptions | None = None
    request_headers: HeaderRewriteOptions | None = None
    response_headers: HeaderRewriteOptions | None = None


class PathRewrite:
    """The prefix is whole segments: `/orders` is stripped from `/orders` and `/orders/7`, never from `/ordersx`."""

    __slots__ = ("_add", "_below", "_strip")

    def __init__(self, strip: bytes, add: bytes) -> None:
        self._strip = strip
        self._below = strip + b"/"
        self._add = add

    def apply(self, path: bytes) -> bytes:
        """A normalised path for a normalised path, never empty. 0.2 us."""
        strip = self._strip
        if strip and (path.startswith(self._below) or path == strip):
            path = path[len(strip) :]
        return self._add + path or b"/"


class HeaderRewrite:
    """`set` replaces every field of that name: (lower-case name, ready line with CRLF). `remove` only drops."""

    __slots__ = ("remove", "set")

    def __init__(self, set: tuple[tuple[bytes, bytes], ...], remove: frozenset[bytes]) -> None:
        self.set = set
        self.remove = remove


def compile_path_rewrite(options: PathRewriteOptions) -> PathRewrite | None:
    """None where nothing is changed. Prefixes are normalised like the paths they are compared with."""
    strip = normalise_path(options.strip_prefix.encode("ascii")) if options.strip_prefix else b""
    add = normalise_path(options.add_prefix.encode("ascii")) if options.add_prefix else b""
    return PathRewrite(strip, add) if strip or add else None


def with_removed(rewrite: HeaderRewrite | None, names: frozenset[bytes]) -> HeaderRewrite:
    """The same, and these names are dropped too, unless the rewrite sets them."""
    if rewrite is None:
        return HeaderRewrite((), names)
    return HeaderRewrite(rewrite.set, rewrite.remove | (names - {name for name, _ in rewrite.set}))


def compile_header_rewrite(options: HeaderRewriteOptions) -> HeaderRewrite | None:
    """None where nothing is changed."""
    lines = tuple(
        (name.encode("ascii"), b"%b: %b\r\n" % (name.encode("ascii"), value.encode("utf-8")))
        for name, value in options.set.items()
    )
    removed = frozenset(name.encode("ascii") for name in options.remove)
    return HeaderRewrite(lines, removed) if lines or removed else None
