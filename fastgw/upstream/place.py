"""Where a target is and what it is called: one address of one target of a document, said the same in every process.

Text only; no name is resolved and nothing is connected here.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastgw.config.address import DEFAULT_PORTS
from fastgw.upstream.options import TargetOptions


@dataclass(frozen=True, slots=True)
class Place:
    """The identity of a target at run time."""

    host: str  # as configured, or the path of a Unix socket
    port: int
    address: str  # empty for a Unix socket

    @property
    def label(self) -> str:
        """As in logs and metrics."""
        if not self.address:
            return f"unix:{self.host}"
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def literal(host: str) -> str | None:
    """The host itself where it is an address already."""
    if ":" in host or host.replace(".", "").isdigit():
        return host
    return None


def host_field(options: TargetOptions) -> bytes:
    """Host where it names the target."""
    if options.unix_path:
        return b"localhost"
    name = f"[{options.host}]" if ":" in options.host else options.host
    return (name if options.port == DEFAULT_PORTS[options.scheme] else f"{name}:{options.port}").encode()
