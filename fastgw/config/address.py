"""Where something listens or is reached: `host:port`, `[::1]:port`, `unix:/path`, `http://host:port`. Only text is
looked at here; no name is resolved."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

# RFC 1123 names; a label may also hold an underscore, as container networks give such names.
HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62}))*\.?"
)
MAX_UNIX_PATH = 107  # bytes: sun_path of unix(7) holds 108 with its final zero
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """A listener's address, or the admin's."""

    kind: Literal["tcp", "unix"]
    host: str = ""  # an IPv6 address without its brackets
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.kind == "unix":
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Reached only from this machine."""
        return self.kind == "unix" or is_loopback(self.host)


@dataclass(frozen=True, slots=True)
class TargetUrl:
    """A target as written, taken apart. A `unix:` target speaks http to the host `localhost`."""

    url: str
    scheme: Literal["http", "https"]
    host: str
    port: int
    unix_path: str = ""


def is_loopback(host: str) -> bool:
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_address(text: str) -> Address:
    """ValueError says what is wrong and what would be right."""
    if text.startswith("unix:"):
        return Address("unix", path=_unix_path(text))
    if "://" in text:
        raise ValueError("an address has no scheme; write host:port, [::1]:port or unix:/path")
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ValueError("the port is missing; write host:port, [::1]:port or unix:/path")
    if not host or host == "*":
        raise ValueError(f"the host is missing; write 0.0.0.0:{port} for every IPv4 address of this machine")
    return Address("tcp", host=_host(host), port=_port(port))


def parse_target(text: str) -> TargetUrl:
    """ValueError says what is wrong and what would be right. A password in the text is never repeated."""
    if text.startswith("unix:"):
        return TargetUrl(text, "http", "localhost", 80, _unix_path(text))
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise ValueError("the scheme is missing; write http://host:port or unix:/path")
    if scheme not in ("http", "https"):
        raise ValueError("only http://host:port, https://host:port and unix:/path are targets")
    if "@" in rest:
        raise ValueError(
            "a target holds no user or password; set a header with rewrite.request_headers instead"
        )
    try:
        # It refuses a bracket without its partner and other broken hosts.
        authority = urlsplit(text).netloc
    except ValueError:
        raise ValueError("this is no URL; write http://host:port or unix:/path") from None
    if rest != authority:
        if rest == authority + "/":
            raise ValueError(f"a target has no path, not even the last slash; write {scheme}://{authority}")
        raise ValueError("a target has no path or query; use the route's rewrite.path to add a prefix")
    secure: Literal["http", "https"] = "https" if scheme == "https" else "http"
    if authority.endswith("]") or ":" not in authority:
        return TargetUrl(text, secure, _host(authority), DEFAULT_PORTS[scheme])
    host, _, port = authority.rpartition(":")
    return TargetUrl(text, secure, _host(host), _port(port))


def _host(text: str) -> str:
    if text.startswith("[") or text.endswith("]"):
        try:
            if not (text.startswith("[") and text.endswith("]")):
                raise ValueError
            return str(ipaddress.IPv6Address(text[1:-1]))
        except ValueError:
            raise ValueError(
                "what stands in brackets is no IPv6 address; write for example [::1]:8080"
            ) from None
    if ":" in text:
        raise ValueError("an IPv6 address stands in brackets; write for example [::1]:8080")
    if re.fullmatch(r"[0-9.]+", text):
        try:
            return str(ipaddress.IPv4Address(text))
        except ValueError:
            raise ValueError(
                "this is no IPv4 address; write four numbers from 0 to 255, as in 127.0.0.1"
            ) from None
    if not HOST_NAME.fullmatch(text):
        raise ValueError(
            "this is no host name; write letters, digits, dashes and dots (an IDN in its xn-- form)"
        )
    return text.lower()


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ValueError("the port must be a number from 1 to 65535")
    return int(text)


def _unix_path(text: str) -> str:
    path = text.removeprefix("unix:")
    if not path or "\0" in path:
        raise ValueError("the path is missing; write unix:/path/to/socket")
    if len(path.encode()) > MAX_UNIX_PATH:
        raise ValueError(
            f"the path of a Unix socket can have {MAX_UNIX_PATH} bytes at most; use a shorter folder"
        )
    return path
