"""Who may speak to the admin address: the rules of Host, Origin, Sec-Fetch-Site and the bearer token.

A web page must not be able to drive the gateway, not even one whose name was rebound to a loopback address.
Knows no web framework: takes header fields, returns a refusal or nothing.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import socket
from dataclasses import dataclass, field

from multidict import MultiMapping

# `name`, `name:port`, `1.2.3.4:port`, `[::1]:port`; nothing else is a Host (RFC 9112 3.2).
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::([0-9]{1,5}))?")
_ORIGIN = re.compile(r"https?://(.+)")
# A target in absolute form names its host itself (RFC 9112 3.2.2).
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")
# A page of this origin, or a person who typed the address.
_OWN_FETCHES = frozenset({"same-origin", "none"})
_LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    reason: str
    detail: str
    fields: dict[str, str] = field(default_factory=dict)


class Admission:
    """The rules for one admin socket. `hosts` are names that the configuration adds to the loopback names."""

    __slots__ = ("_any_address", "_hosts", "_loopback")

    def __init__(self, sock: socket.socket, hosts: tuple[str, ...]) -> None:
        bound = "" if sock.family == socket.AF_UNIX else str(sock.getsockname()[0])
        self._hosts = _LOOPBACK_NAMES | {host.lower() for host in (*hosts, bound) if host}
        self._loopback = not bound or _is_loopback(bound)
        # Bound to every address of the machine: each of them is the configured one. Rebinding needs a name.
        self._any_address = bool(bound) and ipaddress.ip_address(bound).is_unspecified

    def refuse(self, fields: MultiMapping[str], token: str | None, target: str = "/") -> Refusal | None:
        """The first rule that the request breaks. `token` is the configured one, `target` as it stands in the request
        line."""
        return self.refuse_foreign(fields, target) or self._refuse_credentials(fields, token)

    def refuse_foreign(self, fields: MultiMapping[str], target: str = "/") -> Refusal | None:
        """As `refuse`, for what holds no secret and does nothing."""
        hosts = fields.getall("Host", [])
        absolute = _ABSOLUTE.match(target)
        named = hosts if absolute is None else [*hosts, absolute[1]]
        if len(hosts) != 1 or not all(self._is_own(host) for host in named):
            return Refusal(
                403,
                "host_not_allowed",
                "Host is neither a loopback name nor the configured admin address",
            )
        if not all(_same_origin(origin, hosts[0]) for origin in fields.getall("Origin", [])):
            return Refusal(403, "foreign_origin", "Requests of other origins are not served here")
        if not all(site.strip().lower() in _OWN_FETCHES for site in fields.getall("Sec-Fetch-Site", [])):
            return Refusal(403, "foreign_origin", "Requests that another site caused are not served here")
        return None

    def _refuse_credentials(self, fields: MultiMapping[str], token: str | None) -> Refusal | None:
        if self._loopback and not token:
            return None
        given = fields.getall("Authorization", [])
        if not given:
            return Refusal(
                401,
                "missing_credentials",
                "Authorization: Bearer with the configured admin.token is needed",
                {"WWW-Authenticate": 'Bearer realm="fastgw"'},
            )
        scheme, _, credential = given[0].partition(" ")
        # No token although one is required: `check` refuses that, and here nobody gets in.
        known = (token or "").encode("utf-8", "replace")
        equal = hmac.compare_digest(credential.strip().encode("utf-8", "replace"), known)
        if len(given) == 1 and scheme.lower() == "bearer" and token and equal:
            return None
        return Refusal(
            401,
            "invalid_credentials",
            "The bearer token is not the configured admin.token",
            {"WWW-Authenticate": 'Bearer realm="fastgw", error="invalid_token"'},
        )

    def _is_own(self, authority: str) -> bool:
        match = _AUTHORITY.fullmatch(authority)
        if match is None:
            return False
        host = match[1].strip("[]").lower().removesuffix(".")
        if host in self._hosts:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return address.is_loopback or self._any_address or str(address) in self._hosts


def _same_origin(origin: str, host: str) -> bool:
    """`null` and everything that is not this very authority is foreign, another port of loopback too."""
    match = _ORIGIN.fullmatch(origin.strip())
    return match is not None and match[1].lower() == host.strip().lower()


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback
