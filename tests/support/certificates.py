"""A CA of the tests' own, and what it signs."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import trustme


class Authority:
    """`file` and `pem` are what a client trusts."""

    def __init__(self, directory: Path, ca: trustme.CA | None = None) -> None:
        self._ca = ca or trustme.CA()
        self._directory = directory
        self._count = 0
        self.pem = self._ca.cert_pem.bytes().decode()
        self.file = self._write("ca.pem", self.pem)

    def child(self) -> Authority:
        """An intermediate one."""
        directory = self._directory / "child"
        directory.mkdir()
        return Authority(directory, self._ca.create_child_ca())

    def pair(self, *names: str, expired: bool = False) -> tuple[str, str]:
        """A certificate with its chain, and its key."""
        end = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1) if expired else None
        leaf = self._ca.issue_cert(*names, not_after=end)
        chain = "".join(blob.bytes().decode() for blob in leaf.cert_chain_pems)
        return chain, leaf.private_key_pem.bytes().decode()

    def files(self, *names: str) -> dict[str, str]:
        """`certificate` and `key` as paths."""
        certificate, key = self.pair(*names)
        self._count += 1
        return {
            "certificate": self._write(f"{self._count}.pem", certificate),
            "key": self._write(f"{self._count}.key", key),
        }

    def server(self, *names: str, expired: bool = False, wants_client: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate, key = self.pair(*names, expired=expired)
        both = self._write("server.pem", certificate + key)
        context.load_cert_chain(both)
        context.set_alpn_protocols(["http/1.1"])
        if wants_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.file)
        return context

    def _write(self, name: str, text: str) -> str:
        path = self._directory / name
        path.write_text(text)
        return str(path)
