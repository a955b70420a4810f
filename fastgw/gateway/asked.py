"""A request as somebody writes it down, "GET https://host/path" with header fields, and the bytes that a client sends.

What the request leads to is rehearsal.py's; whether its bytes are legal is the head reader's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fastgw.config.errors import shown
from fastgw.gateway.heads import plain_address
from fastgw.http1 import rules

# Of RFC 5737, so nobody's: inside no network that a configuration trusts or denies by chance.
DEFAULT_CLIENT: Final = "203.0.113.1"

_URL: Final = re.compile(r"(?:https?)://(?P<authority>[^/?#]*)(?P<target>[^#]*)(?P<fragment>#.*)?", re.IGNORECASE)
_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PORT: Final = re.compile(r".*:([0-9]{1,5})")
_HOW: Final = 'write a method and a URL, as in "GET https://api.example.com/orders/7"'
# What would end a field line or the head, or is no text (half of a pair): everything else is the parser's to judge, as it
# is a client's.
_BREAKS_SEARCH: Final = re.compile("[\r\n\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Request:
    """`target` is what stands in the request line; `client` the address that the connection comes from."""

    method: str
    authority: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    client: str = DEFAULT_CLIENT

    @property
    def port(self) -> int:
        """That the URL names; 0 for none."""
        match = _PORT.fullmatch(self.authority)
        return int(match[1]) if match is not None else 0

    def raw(self) -> bytes:
        """The head, its empty line included. A Host among the fields replaces the URL's, as with curl."""
        fields = list(self.headers)
        if not any(name.lower() == "host" for name, _ in fields):
            fields.insert(0, ("Host", self.authority))
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
        return "\r\n".join([*lines, "", ""]).encode("utf-8")


def parse_request(text: str, headers: Iterable[tuple[str, str]] = (), client: str = DEFAULT_CLIENT) -> Request:
    """Raises ValueError, whose text says what would be right and never repeats a value of `headers`."""
    method, blank, url = text.strip().partition(" ")
    if not blank or not _METHOD.fullmatch(method) or len(method) > rules.MAX_METHOD:
        raise ValueError(f"{shown(text)} is no request; {_HOW}")
    if method != method.upper():
        raise ValueError(f"methods are upper case; write {method.upper()}")
    url = url.strip()
    match = _URL.fullmatch(url)
    if match is None or not match["authority"]:
        raise ValueError(f"{shown(url)} is no whole URL; {_HOW}")
    if match["fragment"]:
        raise ValueError("what follows # in a URL is never sent; remove it")
    if "@" in match["authority"]:
        raise ValueError("a user in the URL is never sent so; write the header authorization instead")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(f"{shown(url)} cannot be sent; percent-encode blanks and what is not ASCII, as in %20")
    target = match["target"]
    if not target:
        target = "*" if method == "OPTIONS" else "/"  # RFC 9112 3.2.4
    elif target.startswith("?"):
        target = "/" + target
    fields = tuple(header_field(name, value) for name, value in headers)
    return Request(method, match["authority"], target, fields, client_address(client))


def header_field(name: str, value: str) -> tuple[str, str]:
    """Raises ValueError, which does not repeat the value."""
    if not rules.TOKEN.fullmatch(name.encode("utf-8", "replace")):
        raise ValueError(f"{shown(name)} is no header name; write letters, digits and dashes")
    if _BREAKS_SEARCH.search(value):
        raise ValueError(f"the value of the header {name} holds a line break, or no text; write it in one line")
    return name, value


def client_address(text: str) -> str:
    """Raises ValueError."""
    try:
        return str(plain_address(text))
    except ValueError:
        raise ValueError(f"{shown(text)} is no address; write for example 203.0.113.9") from None
