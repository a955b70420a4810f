"""Requests at a rate that does not wait for answers, or as fast as a number of connections get answers; what fails is
a figure here, no reason to stop. `python -m bench.load.arrivals JSON`, in a process of its own.

Each request has an X-Test-Id of its own, by which a service sees what it got twice. A latency is from the writing of
the request to the last byte of its answer; h2load measures finer, but calls a refusal a failure.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

import uvloop

from bench import process, stats
from bench.errors import BenchError

NONE = 0  # the status of an exchange that ended without an answer, or without a whole one
PATIENCE = 15.0  # seconds after the last arrival in which answers may still come
TICK = 0.001


@dataclass(frozen=True)
class Job:
    port: int
    path: str
    output: str  # a file
    seconds: float
    rate: float = 0.0  # arrivals a second; 0: each connection sends again when it has its answer
    connections: int = 512  # at most; arrivals that find none free are dropped
    requests: int = 0  # at most so many; 0: until the time is over
    method: str = "GET"
    body: int = 0  # bytes
    ident: str = "r"  # X-Test-Id is this and a number: no two loads on the same services may share it


@dataclass(frozen=True)
class Seen:
    """One exchange. Seconds; `began` since the load did."""

    began: float
    took: float
    status: int
    target: str = ""  # who answered, where it says so
    reason: str = ""  # of a refusal
    retry_after: int = -1


@dataclass
class Result:
    began: float  # wall seconds
    seen: list[Seen]
    dropped: int = 0
    statuses: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.statuses = Counter(one.status for one in self.seen)

    @property
    def failed(self) -> int:
        return len(self.seen) - self.statuses[200]

    def between(self, begin: float, end: float) -> Result:
        """What began then, by seconds since the load did."""
        return Result(self.began, [one for one in self.seen if begin <= one.began < end])

    def milliseconds(self, share: float, status: int | None = None) -> float:
        """A percentile, of all or of those with that status; 0 where there are none."""
        took = sorted(one.took for one in self.seen if status is None or one.status == status)
        return stats.percentile(took, share) * 1000 if took else 0.0


class _Connection(asyncio.Protocol):
    def __init__(self, load: _Load) -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._data = b""
        self.began = 0.0  # when its request was written; 0: none is out

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its type

    def send(self, request: bytes) -> None:
        self._data = b""
        self.began = time.perf_counter()
        if self._transport is None:  # it was closed as soon as it was open
            self.connection_lost(None)
        else:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if not self.began:
            self.drop()
            return
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        if not found:
            return
        status, fields = read_head(head)
        length = int(fields.get("content-length", -1))
        if length < 0 or len(body) < length:
            return  # without a length it ends with the connection
        self._finish(status, fields, body)

    def _finish(self, status: int, fields: dict[str, str], body: bytes) -> None:
        began, self.began = self.began, 0.0
        closing = fields.get("connection", "").lower() == "close"
        if closing:
            self.drop()
        self._load.ended(self, seen(began - self._load.began, began, status, fields, body), not closing)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        began, self.began = self.began, 0.0
        if began:
            head, found, body = self._data.partition(b"\r\n\r\n")
            status, fields = read_head(head) if found else (NONE, {})
            whole = found and "content-length" not in fields and exc is None
            self._load.ended(
                self, seen(began - self._load.began, began, status if whole else NONE, fields, body), False
            )
        else:
            self._load.lost(self)

    def drop(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()


def read_head(head: bytes) -> tuple[int, dict[str, str]]:
    lines = head.decode("latin-1").split("\r\n")
    fields = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        fields[name.lower()] = value.strip()
    return int(lines[0].split(" ")[1]), fields


def seen(since: float, began: float, status: int, fields: dict[str, str], body: bytes) -> Seen:
    took = time.perf_counter() - began
    if status == 200:
        return Seen(since, took, status, fields.get("x-target", ""))
    wait = fields.get("retry-after", "")
    return Seen(
        *(since, took, status, fields.get("x-target", ""), reason_of(body)),
        int(wait) if wait.isdigit() else -1,
    )


def reason_of(body: bytes) -> str:
    """As the gateway's problem documents have it."""
    try:
        found = json.loads(body)
    except ValueError:
        return ""
    return str(found.get("reason", "")) if isinstance(found, dict) else ""


class _Load:
    def __init__(self, job: Job) -> None:
        self._job = job
        fields = "Host: api.example.com\r\nUser-Agent: bench\r\nAccept: application/json\r\n"
        if job.body or job.method not in ("GET", "HEAD"):
            fields += f"Content-Length: {job.body}\r\n"
        self._head = f"{job.method} {job.path} HTTP/1.1\r\n{fields}X-Test-Id: {job.ident}-".encode()
        self._body = b"\r\n\r\n" + b"x" * job.body
        self._loop = asyncio.get_running_loop()
        self._idle: deque[_Connection] = deque()
        self._open = 0  # connections, also those that are being opened
        self._out = 0  # exchanges that have begun and not ended
        self._sent = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._enough = asyncio.Event()
        self._quiet = asyncio.Event()
        self._error: BaseException | None = None  # ours, not a side's
        self.over = False
        self.began = 0.0
        self.wall = 0.0
        self.dropped = 0
        self.seen: list[Seen] = []

    async def run(self) -> None:
        job = self._job
        self.began, self.wall = time.perf_counter(), time.time()
        if job.rate:
            await self._arrivals()
        else:
            for _ in range(job.connections):
                self.begin()
            await self._closed()
        self.over = True
        if self._out and self._error is None:
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._quiet.wait()
            except TimeoutError:
                now = time.perf_counter()
                self.seen += [Seen(now - self.began - PATIENCE, PATIENCE, NONE)] * self._out
        if self._error is not None:
            raise self._error

    async def _arrivals(self) -> None:
        job, number = self._job, 0
        total = job.requests or round(job.rate * job.seconds)
        while number < total:
            due = min(total, int((time.perf_counter() - self.began) * job.rate) + 1)
            for _ in range(due - number):
                self.begin()
            number = due
            await asyncio.sleep(max(TICK, self.began + number / job.rate - time.perf_counter()))

    async def _closed(self) -> None:
        """Until enough was sent, or the time is over."""
        try:
            async with asyncio.timeout(self._job.seconds):
                await self._enough.wait()
        except TimeoutError:
            return

    def begin(self) -> None:
        """One more exchange, where there is a connection for it."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                self._out += 1
                self._send(connection)
                return
            self._open -= 1
        if self._open >= self._job.connections:
            self.dropped += 1
            return
        self._open += 1
        self._out += 1
        task = self._loop.create_task(self._connect())
        self._tasks.add(task)
        task.add_done_callback(self._connected)

    def _connected(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if error := task.exception():
            self._error = error
            self._enough.set()
            self._quiet.set()

    async def _connect(self) -> None:
        begin = time.perf_counter()
        try:
            _, connection = await self._loop.create_connection(
                lambda: _Connection(self), "127.0.0.1", self._job.port
            )
        except OSError:
            self._open -= 1
            self._ended(Seen(begin - self.began, time.perf_counter() - begin, NONE))
            return
        self._send(connection)

    def _send(self, connection: _Connection) -> None:
        self._sent += 1
        if self._sent == self._job.requests:
            self._enough.set()
        connection.send(self._head + str(self._sent).encode() + self._body)

    def ended(self, connection: _Connection, one: Seen, usable: bool) -> None:
        if usable:
            self._idle.append(connection)
        else:
            self._open -= 1
        self._ended(one)

    def _ended(self, one: Seen) -> None:
        self._out -= 1
        self.seen.append(one)
        if self.over:
            if not self._out:
                self._quiet.set()
        elif not self._job.rate and not self._enough.is_set():
            self._loop.call_soon(self._again)

    def _again(self) -> None:
        if not self.over:
            self.begin()

    def lost(self, connection: _Connection) -> None:
        """Closed while it was idle."""
        if connection in self._idle:
            self._idle.remove(connection)
            self._open -= 1

    def close(self) -> None:
        for connection in self._idle:
            connection.drop()


async def drive(job: Job) -> dict[str, object]:
    load = _Load(job)
    try:
        await load.run()
    finally:
        load.close()
    rows = [list(asdict(one).values()) for one in load.seen]
    return {"began": load.wall, "dropped": load.dropped, "seen": rows}


def parse(text: str) -> Result:
    found = json.loads(text)
    if not found["seen"]:
        raise BenchError("the load finished no request")
    return Result(found["began"], [Seen(*row) for row in found["seen"]], found["dropped"])


@dataclass(frozen=True)
class Running:
    popen: subprocess.Popen[bytes]
    job: Job

    def finish(self) -> Result:
        try:
            code = self.popen.wait(self.job.seconds + PATIENCE + 30)
        except subprocess.TimeoutExpired as error:
            raise BenchError("the load did not end") from error
        finally:
            self.abandon()
        if code:
            raise BenchError(f"the load ended with {code}")
        return parse(Path(self.job.output).read_text())

    def abandon(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()


def start(job: Job, cores: Sequence[int]) -> Running:
    Path(job.output).unlink(missing_ok=True)
    argv = process.pinned([sys.executable, "-m", "bench.load.arrivals", json.dumps(asdict(job))], cores)
    popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, cwd=process.ROOT, start_new_session=True)
    process.prefer(popen.pid)
    return Running(popen, job)


if __name__ == "__main__":
    asked = Job(**json.loads(sys.argv[1]))
    gc.disable()  # a pause of the client would be seen as one of the gateway; it ends with the load
    Path(asked.output).write_text(json.dumps(uvloop.run(drive(asked))))
