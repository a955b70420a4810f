"""What every side is told (Plan) and what it answers (Command).

The four writers beside this file fill it in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Policies:
    """What a side asks of a request besides forwarding it.

    nginx only knows the address limit; HAProxy ignores all.
    """

    address: int = 0  # rate and burst of the limit by address; 0: none
    jwt: bool = False
    consumer: int = 0  # rate and burst of the limit by consumer
    lease: str = "auto"
    store: str = ""  # address of the Redis that the limits live in

    @property
    def limited(self) -> bool:
        return bool(self.address or self.consumer)


@dataclass(frozen=True)
class Plan:
    """The same for all sides: proxy everything to one upstream, /upload/ to the sink, log every request."""

    folder: Path
    port: int
    admin_port: int
    upstream_port: int
    sink_port: int
    workers: int = 1
    routes: int = 0  # 0: one route for everything; else this many, see bench.load.traffic.route_of
    tuned: bool = False  # nginx only: large buffers and no buffering of requests
    policies: Policies | None = None  # None: not even a route of its own, all is forwarded
    drain_seconds: int = 1  # how long a stop may wait for exchanges in flight

    @property
    def access_log(self) -> Path:
        return self.folder / "access.log"


@dataclass(frozen=True)
class Command:
    argv: tuple[str, ...]
    config: Path
    logs_to_output: bool = False  # the access log is what the process prints
    environ: Mapping[str, str] = field(default_factory=dict)


Writer = Callable[[Plan], Command]

MAX_BODY_MB = 256  # above the largest body of the cases
MAX_CONNECTIONS = (
    8_000  # above the idle case; HAProxy wants two files for each, within a common limit of 20,000
)
