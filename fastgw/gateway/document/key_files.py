"""Keys and certificates that a document names by path become part of it: workers read no file, and a version is whole.

Only for documents that come from a file, as in files.py. What is embedded of a JWKS is its public half, of a
certificate's file no key that stands beside it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path as FilePath
from typing import Any, Final

import orjson

from fastgw.config.findings import Finding
from fastgw.gateway.document.files import places, read_bounded
from fastgw.upstream.certificates import BEGIN, authorities, certificates, private_key

MAX_KEY_FILE: Final = 256 * 1024  # bytes
MAX_CA_FILE: Final = 1024 * 1024  # bytes; Debian's bundle of all public CAs has 220 KB
_JWKS: Final = ("issuers", "*", "jwks_file")
_PEM: Final = ("issuers", "*", "public_key")
# Under `tls` of an upstream: what a message calls it, the largest file, and what of its content is kept.
_TLS: Final[tuple[tuple[str, str, int, Callable[[str], str]], ...]] = (
    ("ca", "CA", MAX_CA_FILE, authorities),
    ("certificate", "certificate", MAX_KEY_FILE, certificates),
    ("key", "key", MAX_KEY_FILE, private_key),
)


def embed_keys(plain: dict[str, Any], directory: FilePath) -> Iterator[Finding]:
    """Puts the content in the place of the path, in `plain` itself. Text that is a key already stays."""
    for pattern, begins in ((_PEM, "-----BEGIN"), (_JWKS, "{")):
        for node, key, path in places(plain, pattern, ()):
            value = node[key]
            if not isinstance(value, str) or value.lstrip().startswith(begins):
                continue
            try:
                text = _text(_absolute(value, directory), "key", MAX_KEY_FILE, "PEM or JWKS")
                node[key] = _public(text) if pattern is _JWKS else text
            except ValueError as error:
                yield Finding(path, str(error))
    for name, what, most, keep in _TLS:
        for node, key, path in places(plain, ("upstreams", "*", "tls", name), ()):
            value = node[key]
            if not isinstance(value, str) or BEGIN in value:
                continue
            file = _absolute(value, directory)
            try:
                text = _text(file, what, most, "PEM")
                node[key] = _kept(keep, text, what, file)
            except ValueError as error:
                yield Finding(path, str(error))


def _absolute(path: str, directory: FilePath) -> str:
    return os.path.normpath(directory / path) if path else path


def _text(path: str, what: str, most: int, form: str) -> str:
    data = read_bounded(path, what, most)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError(f"the {what}'s file {path} is not text; write the {what} as {form}") from None


def _kept(keep: Callable[[str], str], text: str, what: str, file: str) -> str:
    try:
        return keep(text)
    except ValueError as error:
        raise ValueError(f"the {what}'s file {file} is not right: {error}") from None


def _public(text: str) -> str:
    """Raises ValueError for what is no JWKS."""
    from fastgw.policy.auth.keys import BadKey, read_jwks  # noqa: PLC0415 (0.15 s that most configurations need not)

    try:
        return orjson.dumps({"keys": read_jwks(text)}).decode()
    except BadKey as error:
        raise ValueError(str(error)) from None
