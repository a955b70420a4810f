"""What a document says about files: relative paths start at the file's directory, and a secret may be `file:PATH`.

Only for documents that come from a file; what comes through the admin API reads nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any, Final

from fastgw.config.findings import Finding
from fastgw.config.paths import Path

MAX_SECRET: Final = 64 * 1024  # bytes

# Values that are paths, and the prefix that says so.
PATHS: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (("listeners", "*", "address"), "unix:"),
    (("admin", "address"), "unix:"),
    (("store",), "file:"),
    (("log", "access"), ""),
    (("upstreams", "*", "targets", "*"), "unix:"),
    (("upstreams", "*", "targets", "*", "url"), "unix:"),
    (("listeners", "*", "tls", "certificate"), ""),
    (("listeners", "*", "tls", "key"), ""),
    (("listeners", "*", "tls", "client_ca"), ""),
    (("listeners", "*", "tls", "*", "certificate"), ""),
    (("listeners", "*", "tls", "*", "key"), ""),
    (("listeners", "*", "tls", "*", "client_ca"), ""),
)
NO_PATHS: Final = frozenset({"stdout", "none", ""})

SECRETS: Final[tuple[tuple[str, ...], ...]] = (("admin", "token"), ("issuers", "*", "secret"))


def localise(plain: dict[str, Any], directory: FilePath) -> Iterator[Finding]:
    """Makes paths absolute and puts secrets in the place of their references, in `plain` itself."""
    for pattern, prefix in PATHS:
        for node, key, _ in places(plain, pattern, ()):
            value = node[key]
            if isinstance(value, str) and value.startswith(prefix) and value not in NO_PATHS:
                node[key] = prefix + _absolute(value.removeprefix(prefix), directory)
    for pattern in SECRETS:
        for node, key, path in places(plain, pattern, ()):
            value = node[key]
            if isinstance(value, str) and value.startswith("file:"):
                try:
                    node[key] = _secret(_absolute(value.removeprefix("file:"), directory))
                except ValueError as error:
                    yield Finding(path, str(error))


def places(node: Any, pattern: tuple[str, ...], path: Path) -> Iterator[tuple[Any, Any, Path]]:
    """Container, key and path of every value that a pattern leads to; `*` is every entry."""
    first, rest = pattern[0], pattern[1:]
    keys: Any
    if first == "*":
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    else:
        keys = (first,) if isinstance(node, dict) and first in node else ()
    for key in keys:
        if rest:
            yield from places(node[key], rest, (*path, key))
        else:
            yield node, key, (*path, key)


def _absolute(path: str, directory: FilePath) -> str:
    # An empty path stays empty: the field's own check says what is missing.
    return os.path.normpath(directory / path) if path else path


def read_bounded(path: str, what: str, most: int) -> bytes:
    """The content of a file that holds a `what`. Raises ValueError in words for the operator."""
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "this is no path"
        raise ValueError(f"the {what}'s file {path} cannot be read: {reason}") from None
    if len(data) > most:
        raise ValueError(f"the {what}'s file {path} is larger than {most // 1024} KB; is it the right one?")
    return data


def _secret(path: str) -> str:
    data = read_bounded(path, "secret", MAX_SECRET)
    try:
        text = data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError(
            f"the secret's file {path} is not text; write the secret as printable ASCII"
        ) from None
    if not text:
        raise ValueError(f"the secret's file {path} is empty; write the secret into it")
    return text
