"""A JWKS URL that does what a test says: good keys, other keys, or one of the ways in which a source fails."""

from __future__ import annotations

import gzip
import threading

from tests.support import scripts
from tests.support.tokens import Key, Signer, key_set
from tests.support.upstream import Exchange, Script, Upstream

JSON = "Content-Type: application/json"


def serve(body: bytes, *fields: str, status: int = 200) -> Script:
    return scripts.answer(scripts.message(body, status, *(fields or (JSON,))))


def endless(exchange: Exchange) -> None:
    """A key set that never ends; the peer must lose patience."""
    exchange.read_body()
    try:
        exchange.send(scripts.head(200, JSON, "Transfer-Encoding: chunked"))
        piece = b'{"keys": [' + b" " * 65526
        for _ in range(2000):
            exchange.send(b"%x\r\n%s\r\n" % (len(piece), piece))
    except OSError:
        exchange.connection.peer_closed = True
    exchange.close()


def dripping(exchange: Exchange) -> None:
    """A byte now and then: no deadline between two reads ends it."""
    exchange.read_body()
    exchange.send(scripts.head(200, JSON, "Content-Length: 5000"))
    never = threading.Event()
    try:
        for _ in range(60):
            exchange.send(b" ")
            never.wait(0.25)
    except OSError:
        exchange.connection.peer_closed = True
    exchange.close()


def bomb() -> bytes:
    """50 MB of blanks in 50 KB."""
    return gzip.compress(b'{"keys": [' + b" " * 50_000_000 + b"]}", 9)


class KeySource:
    """One issuer's URL at a scripted service. What it answers can be changed while a gateway asks."""

    def __init__(self, host: Upstream, name: str, key: Key, algorithm: str = "ES256") -> None:
        self.host = host
        self.name = name
        self.issuer = f"https://{name}.example/"
        self.signer = Signer(key, algorithm, self.issuer)
        self.script = serve(key_set(key))
        host.scripts[name.encode()] = self._serve

    def _serve(self, exchange: Exchange) -> None:
        self.script(exchange)

    @property
    def url(self) -> str:
        return f"{self.host.url}/{self.name}"

    def options(self, **more: object) -> dict[str, object]:
        """As the issuer in a configuration."""
        return {
            "issuer": self.issuer,
            "audience": "api",
            "algorithms": [self.signer.algorithm],
            "jwks_url": self.url,
            **more,
        }

    def by(self, key: Key) -> Signer:
        """The same issuer with another key."""
        return Signer(key, self.signer.algorithm, self.issuer)

    def asked(self) -> int:
        return len(self.host.find(f"/{self.name}"))

    def wait_asked(self, more_than: int, timeout: float = 5.0) -> None:
        self.host.wait(lambda: self.asked() > more_than, timeout, f"a request for the keys of {self.name}")
