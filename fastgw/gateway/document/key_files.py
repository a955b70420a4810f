"""Public keys that a document names by path become part of it: workers read no file, and a version is whole.

Only for documents that come from a file, as in files.py. What is embedded of a JWKS is its public half.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any, Final

import orjson

from fastgw.config.findings import Finding
from fastgw.gateway.document.files import places, read_bounded

MAX_KEY_FILE: Final = 256 * 1024  # bytes
_JWKS: Final = ("issuers", "*", "jwks_file")
_PEM: Final = ("issuers", "*", "public_key")


def embed_keys(plain: dict[str, Any], directory: FilePath) -> Iterator[Finding]:
    """Puts the content in the place of the path, in `plain` itself. Text that is a key already stays."""
    for pattern, begins in ((_PEM, "-----BEGIN"), (_JWKS, "{")):
        for node, key, path in places(plain, pattern, ()):
            value = node[key]
            if not isinstance(value, str) or value.lstrip().startswith(begins):
                continue
            try:
                text = _text(os.path.normpath(directory / value) if value else value)
                node[key] = _public(text) if pattern is _JWKS else text
            except ValueError as error:
                yield Finding(path, str(error))


def _text(path: str) -> str:
    data = read_bounded(path, "key", MAX_KEY_FILE)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError(f"the key's file {path} is not text; write the key as PEM or JWKS") from None


def _public(text: str) -> str:
    """Raises ValueError for what is no JWKS."""
    from fastgw.policy.auth.keys import BadKey, read_jwks  # noqa: PLC0415 (0.15 s that most configurations need not)

    try:
        return orjson.dumps({"keys": read_jwks(text)}).decode()
    except BadKey as error:
        raise ValueError(str(error)) from None
