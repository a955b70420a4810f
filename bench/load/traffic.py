"""What a request looks like: paths, headers, credentials, and which route a path belongs to.

The same for all drivers.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence

PATHS = 1000
CREDENTIALS = 64  # as many clients as the request cases hold connections
CREDENTIAL_BYTES = 300
HOSTILE_PREFIX = "/hostile"  # the upstream answers with a unique header below it


def credential(index: int) -> str:
    """300 bytes in the shape of a JWT; random to a compressor, the same in every run."""
    raw = b"".join(hashlib.sha256(b"%d/%d" % (index, part)).digest() for part in range(8))
    text = base64.urlsafe_b64encode(raw).decode()
    return f"{text[:36]}.{text[36:255]}.{text[255:]}".ljust(CREDENTIAL_BYTES, "A")[:CREDENTIAL_BYTES]


def path_of(index: int) -> str:
    """Ids are not padded and a third of the targets carry a query: lengths differ, as they do in life."""
    query = f"?page={index % 10}" if index % 3 == 0 else ""
    return f"/api/v1/items/{index}/detail{query}"


def paths(prefix: str = "", count: int = PATHS) -> list[str]:
    return [prefix + path_of(index) for index in range(count)]


def route_of(index: int) -> tuple[bool, str]:
    """(exact, path) of route `index` in the routes case.

    Half exact, half prefixes, which all sides look up fast.
    """
    if index % 2:
        return True, f"/service-{index}/status"
    return False, f"/service-{index}/"


def routed_paths(routes: int, count: int = PATHS) -> list[str]:
    """`count` paths over all routes.

    With 10 routes each is hit by many paths, with 10,000 every tenth by one.
    """
    found = []
    for number in range(count):
        index = number * max(1, routes // count) % routes
        exact, path = route_of(index)
        found.append(path if exact else f"{path}orders/{number}")
    return found


def headers(index: int, bearer: Callable[[int], str] = credential) -> list[tuple[str, str]]:
    """Six, with the Host; five where `bearer` has nothing for this client."""
    token = bearer(index % CREDENTIALS)
    fields = [
        ("Host", "api.example.com"),
        ("User-Agent", "shop-app/4.12.0 (Android 15; Pixel 8)"),
        ("Accept", "application/json"),
        ("Accept-Language", "en-GB,en;q=0.8"),
        ("Authorization", f"Bearer {token}"),
        ("X-Client-Version", "4.12.0"),
    ]
    return fields if token else [field for field in fields if field[0] != "Authorization"]


def head(method: str, path: str, fields: Sequence[tuple[str, str]]) -> str:
    """A request head without its empty line."""
    return f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields)
