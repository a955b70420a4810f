"""A supervisor with real processes, real sockets and a line protocol instead of HTTP: `python rig.py '{...}'`.

The data plane answers one line per line: `who` -> index, pid and version; `hold` -> `held`, and an exchange in flight
until the next line; `log TEXT`, `fds`, `words`. Control answers on the admin socket: `publish N`, `who`, `die`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastgw.account.series import Word
from fastgw.config.address import Address, parse_address
from fastgw.ipc import difference, messages
from fastgw.ipc.channel import Channel, Received
from fastgw.ipc.watch import WatchedChannel
from fastgw.supervisor.roles import Roles
from fastgw.supervisor.settings import Settings, Timing
from fastgw.supervisor.start import run
from fastgw.worker.process import main as worker_main


@dataclass
class Part:
    """Any group of options."""

    address: Address | None = None
    token: str = ""
    access: str = "none"
    delay: float = 0.0
    timeout: float = 2.0
    max_connections: int = 64
    url: str = "embedded"
    prefix: str = "rig:"
    limits: tuple[str, ...] = ()


@dataclass
class Base:
    listeners: tuple[Part, ...]
    admin: Part
    drain: Part
    log: Part
    server: Part = field(default_factory=Part)
    redis: Part | None = None
    limits: tuple[Part, ...] = ()
    issuers: dict[str, Part] = field(default_factory=dict)


@dataclass
class Document:
    base: Base
    hash: str
    texts: dict[str, bytes] = field(default_factory=dict)
    routes: dict[str, Part] = field(default_factory=dict)

    def parts(self) -> dict[str, bytes]:
        return dict(self.texts)


@dataclass
class Snapshot:
    version: int
    hash: str
    document: Document


class Build:
    def assemble(self, document: Document, payload: bytes, digest: str, whole: bool):
        texts = {} if whole else dict(document.texts)
        for key, text in difference.decode(payload):
            if text is None:
                texts.pop(key, None)
            else:
                texts[key] = text
            yield
        return Document(document.base, digest, texts)

    def compile(self, document: Document, version: int, previous: Snapshot | None):
        yield
        if b"broken" in document.texts.values():
            raise ValueError("a part is broken")
        return Snapshot(version, document.hash, document)


class Plane:
    """The data plane's interface over a line protocol."""

    def __init__(self, loop, snapshot, slot, index, workers, log_fd, clock, store) -> None:
        self.loop = loop
        self.snapshot = snapshot
        self.slot = slot
        self.index = index
        self.log_fd = log_fd
        self.lines: set[Line] = set()
        self.closing = False
        self.draining = False
        self.ticking: asyncio.TimerHandle | None = None
        self.store = store

    def set_watch(self, condition) -> None:
        pass

    def on_live(self, tell) -> None:
        pass

    def apply(self, snapshot) -> None:
        self.snapshot = snapshot

    async def listen(self, listener_index, sock):
        return await self.loop.create_server(lambda: Line(self), sock=sock.dup(), backlog=128)

    def set_addresses(self, upstream, host, port, addresses, error) -> None:
        self.log(f"addresses {upstream} {host}:{port} {','.join(addresses)}")

    def set_store(self, store) -> None:
        self.store = store

    def set_keys(self, issuer, keys, error) -> None:
        self.log(f"keys {issuer} {len(keys)} {error}")

    def on_unknown_key(self, tell) -> None:
        pass

    def set_health(self, upstream, host, port, address, healthy) -> None:
        self.log(f"health {upstream} {host}:{port} {address} {healthy}")

    def force_breaker(self, upstream, target, state, until) -> None:
        self.log(f"force {upstream} {target} {state}")

    def on_breaker(self, tell) -> None:
        pass

    def breakers(self):
        return ()

    def set_instances(self, count) -> None:
        self.log(f"instances {count}")

    def needs_addresses(self) -> bool:
        return False

    def start(self) -> None:
        self.slot.set(Word.HEARTBEAT, self.slot.get(Word.HEARTBEAT) + 1)
        self.ticking = self.loop.call_later(0.02, self.start)

    def stop(self) -> None:
        if self.ticking is not None:
            self.ticking.cancel()

    def begin_drain(self) -> None:
        self.draining = True

    def close_when_idle(self) -> None:
        self.closing = True
        for line in list(self.lines):
            if not line.held:
                line.transport.close()

    def in_flight(self) -> int:
        return sum(line.held for line in self.lines)

    def connections(self) -> int:
        return len(self.lines)

    def abort(self) -> None:
        for line in list(self.lines):
            line.transport.abort()

    def flush_log(self) -> None:
        pass

    def log(self, line: str) -> None:
        os.write(self.log_fd, f"!{line}\n".encode())


class Line(asyncio.Protocol):
    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.held = False

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.plane.lines.add(self)

    def connection_lost(self, error) -> None:
        self.plane.lines.discard(self)

    def data_received(self, data: bytes) -> None:
        plane = self.plane
        for text in data.decode().splitlines():
            word, _, rest = text.partition(" ")
            self.held = word == "hold"
            if word == "who":
                ready = "draining" if plane.draining else "ready"
                answer = f"{plane.index} {os.getpid()} {plane.snapshot.version} {ready}"
            elif word == "log":
                try:
                    os.write(plane.log_fd, f'{{"text": "{rest}"}}\n'.encode())
                    answer = "logged"
                except BlockingIOError:
                    answer = "dropped"
            elif word == "fds":
                answer = " ".join(sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in open_fds()))
            elif word == "store":
                answer = "local" if plane.store is None else plane.store.url
            elif word == "spin":
                while True:  # a callback that never returns
                    pass
            else:
                answer = "held" if self.held else "done"
            self.transport.write(answer.encode() + b"\n")
        if plane.closing and not self.held:
            self.transport.close()


def open_fds() -> list[int]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            os.stat(f"/proc/self/fd/{name}")
        except OSError:
            continue
        found.append(int(name))
    return found


class Control:
    """A publisher on the admin socket, and a mirror of what the supervisor and the workers say."""

    def __init__(self, context) -> None:
        self.context = context
        self.loop = asyncio.new_event_loop()
        self.over = self.loop.create_future()
        self.supervisor = WatchedChannel(
            self.loop, Channel(context.supervisor), self.on_supervisor, lambda: self.over.set_result(None)
        )
        self.workers: dict[int, WatchedChannel] = {}
        self.heard: list[dict[str, Any]] = []
        self.hash = context.hash

    async def main(self) -> int:
        server = await asyncio.start_server(self.serve, sock=self.context.admin)
        self.supervisor.send(messages.ready())
        await self.over
        server.close()
        return 0

    def on_supervisor(self, received: Received) -> None:
        self.heard.append(received.message)
        if received.type == "worker":
            import socket

            index = received.message["index"]
            channel = Channel(socket.socket(fileno=received.fd))
            self.workers[index] = WatchedChannel(
                self.loop,
                channel,
                lambda got: self.heard.append({**got.message, "from": index}),
                lambda: None,
            )
        elif received.type == "reload":
            self.supervisor.send(messages.reloaded(self.context.version, None))

    def publish(self, version: int, base: str | None, text: str) -> None:
        digest = f"hash-{version}"
        payload = difference.encode({"route:x": text.encode()})
        message = messages.config(version, digest, base)
        self.supervisor.send(message, payload=payload)
        for channel in self.workers.values():
            channel.send(message, payload=payload)

    async def serve(self, reader, writer) -> None:
        async for line in reader:
            word, _, rest = line.decode().strip().partition(" ")
            if word == "publish":
                version, base, text = rest.split()
                self.publish(int(version), None if base == "-" else base, text)
                answer: object = "published"
            elif word == "addresses":
                message = messages.addresses("up", "name", 80, ["127.0.0.9"], None)
                self.supervisor.send(message)
                answer = "sent"
            elif word == "keys":
                self.supervisor.send(messages.keys("https://id/jwks", [{"kty": "EC"}], "down"))
                answer = "sent"
            elif word == "die":
                os._exit(9)
            elif word == "who":
                answer = {
                    "pid": os.getpid(),
                    "version": self.context.version,
                    "restarts": self.context.restarts,
                    "addresses": [dict(each) for each in self.context.addresses],
                    "keys": [dict(each) for each in self.context.keys],
                    "fds": [os.readlink(f"/proc/self/fd/{fd}") for fd in open_fds()],
                }
            else:
                answer = self.heard
            writer.write(json.dumps(answer).encode() + b"\n")


def control(context) -> int:
    one = Control(context)
    return one.loop.run_until_complete(one.main())


def failing_worker(birth) -> int:
    return 7


def dying_worker(birth) -> int:
    """Serves once at boot; its successors die at once."""
    marker = Path(os.environ["RIG_MARKER"])
    with marker.open("a") as file:
        file.write(f"{time.monotonic()}\n")
    if len(marker.read_text().splitlines()) > birth.workers:
        os.kill(os.getpid(), signal.SIGKILL)
    return worker_main(birth)


def main() -> int:
    told = json.loads(sys.argv[1])
    base = Base(
        listeners=tuple(Part(address=parse_address(each)) for each in told["listeners"]),
        admin=Part(address=parse_address(told["admin"])),
        drain=Part(delay=told.get("delay", 0.0), timeout=told.get("drain", 2.0)),
        log=Part(access=told.get("log", "none")),
        redis=Part(url=told["redis"], timeout=0.025) if "redis" in told else None,
        limits=(Part(),) * told.get("limits", 0),
    )
    texts = {"route:x": told.get("text", "fine").encode()}
    settings = Settings(
        config_path=Path("rig.yaml"),
        document=Document(base, "hash-1", texts),
        version=1,
        workers=told.get("workers", 2),
        environ=dict(os.environ),
        timing=Timing(**told.get("timing", {})),
        valkey=Path(told["valkey"]) if "valkey" in told else None,
    )
    worker = {"fail": failing_worker, "die": dying_worker}.get(told.get("worker", ""), worker_main)
    return int(run(settings, Roles(worker, control, Plane, Build())))


if __name__ == "__main__":
    sys.exit(main())
