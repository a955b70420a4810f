"""The last good keys of each source, on disk: a start without its identity provider has those of the day before."""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import orjson

from fastgw.policy.auth.keys import BadKey, Jwk, read_jwks


class JwksFiles:
    """In the directory of the store, one private file a source; named by its address's digest."""

    def __init__(self, directory: str | Path) -> None:
        self._directory = Path(directory)

    def load(self, url: str) -> list[Jwk]:
        """Nothing where nothing usable is there."""
        try:
            return read_jwks(self._file(url).read_bytes())
        except (OSError, BadKey):
            return []

    def save(self, url: str, keys: list[Jwk]) -> str | None:
        """Why it could not be kept, if so."""
        file = self._file(url)
        temporary = file.with_suffix(f".{os.getpid()}.tmp")
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(fd, "wb") as out:
                out.write(orjson.dumps({"keys": keys}))
            os.replace(temporary, file)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            return error.strerror or "it cannot be written"
        return None

    def _file(self, url: str) -> Path:
        return self._directory / f"jwks-{blake2b(url.encode(), digest_size=16).hexdigest()}.json"
