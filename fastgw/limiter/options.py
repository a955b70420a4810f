"""Where the store of limits is, and how long a decision may take. No I/O, and no words of the configuration file."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

DEFAULT_PORT: Final = 6379
_SCHEMES: Final = ("redis", "rediss", "unix")
_FORMS: Final = (
    "write redis://[user:password@]host[:port][/database], rediss://... or unix:///path[?db=database]"
)


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """`path` is that of a Unix socket; empty for TCP. The password is not in its repr, nor in `shown`."""

    host: str
    port: int
    path: str
    tls: bool
    username: str
    password: str = field(repr=False)
    database: int = 0

    @property
    def shown(self) -> str:
        """For operators: everything but who we are there."""
        database = f"/{self.database}" if self.database else ""
        if self.path:
            return f"unix://{self.path}" + (f"?db={self.database}" if self.database else "")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}{database}"


@dataclass(frozen=True)
class LimiterOptions:
    url: str = field(repr=False)  # redis://, rediss:// or unix:///path; may hold a password
    prefix: bytes  # of every key
    timeout: float  # seconds that a request waits for a decision, at most

    @cached_property
    def address(self) -> StoreAddress:
        return parse_url(self.url)


def parse_url(url: str) -> StoreAddress:
    """ValueError says what would be right, and never repeats the URL: it may hold a password."""
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORT
    except ValueError:
        raise ValueError(f"not a URL of a store; {_FORMS}") from None
    if parts.scheme not in _SCHEMES:
        raise ValueError(f"a store's URL begins with redis://, rediss:// or unix://; {_FORMS}")
    if parts.fragment or re.search(r"[\x00-\x20\x7f]", url):
        raise ValueError(f"a store's URL has no fragment, blanks or control characters; {_FORMS}")
    unix = parts.scheme == "unix"
    path = unquote(parts.path) if unix else ""
    host = "" if unix else unquote(parts.hostname or "")
    if unix and (not path.startswith("/") or path == "/" or parts.hostname):
        raise ValueError(f"unix:// takes an absolute path; {_FORMS}")
    if not unix and not host:
        raise ValueError(f"a store's URL names a host; {_FORMS}")
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    if username and not password:
        raise ValueError(
            f"a user without a password; for a password alone write redis://:password@host; {_FORMS}"
        )
    return StoreAddress(
        host=host,
        port=port,
        path=path,
        tls=parts.scheme == "rediss",
        username=username,
        password=password,
        database=_database(parts, unix),
    )


def _database(parts: SplitResult, unix: bool) -> int:
    words = []
    if parts.query:
        if not parts.query.startswith("db=") or "&" in parts.query:
            raise ValueError(f"the only query of a store's URL is db=N; {_FORMS}")
        words.append(parts.query[3:])
    if not unix and parts.path.strip("/"):
        words.append(parts.path[1:].removesuffix("/"))
    if not words:
        return 0
    if len(words) > 1 or not re.fullmatch(r"[0-9]{1,5}", words[0]):
        raise ValueError(f"a store's database is one number; {_FORMS}")
    return int(words[0])
