"""Load from one thread: lanes of connections that ask for one thing at a pace, and remember when, how long, and what
came. Latencies are the gateway's plus what this thread needs on a shared core: bounds need a margin."""

from __future__ import annotations

import heapq
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.client import Address
from tests.support.wire import wait_for


@dataclass(slots=True)
class Sample:
    began: float
    ended: float
    status: int

    @property
    def took(self) -> float:
        return self.ended - self.began


@dataclass
class Lane:
    """`rate`: requests a second of the lane, spread over its connections; 0 asks again at once. `fresh`: a connection
    for each request."""

    request: bytes
    connections: int = 8
    rate: float = 0.0
    fresh: bool = False
    samples: list[Sample] = field(default_factory=list)

    def statuses(self, since: float = 0.0, until: float = float("inf")) -> dict[int, int]:
        """How often each came, of the requests sent in that time."""
        found: dict[int, int] = {}
        for one in list(self.samples):
            if since <= one.began < until:
                found[one.status] = found.get(one.status, 0) + 1
        return found

    def latencies(self, since: float = 0.0, until: float = float("inf")) -> list[float]:
        """Sorted, of the requests sent in that time."""
        return sorted(one.took for one in list(self.samples) if since <= one.began < until)

    def median(self, since: float = 0.0, until: float = float("inf")) -> float:
        found = self.latencies(since, until)
        assert found, "no request in that time"
        return found[len(found) // 2]


class _Asking:
    """One connection of a lane."""

    __slots__ = ("began", "buffer", "due", "lane", "sock")

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.sock: socket.socket | None = None
        self.buffer = b""
        self.began = 0.0
        self.due = 0.0


class Load:
    """Runs from `with` to its end; what failed on the way is in `failures`."""

    def __init__(self, address: Address, *lanes: Lane) -> None:
        self.lanes = lanes
        self.failures: list[str] = []
        self.began = self.ended = 0.0
        self._address = address
        self._stop = threading.Event()
        self._poll = select.epoll()
        self._asking: dict[int, _Asking] = {}
        self._due: list[tuple[float, int, _Asking]] = []
        self._thread = threading.Thread(target=self._run, daemon=True, name="load")

    def __enter__(self) -> Load:
        self.began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive(), "the load does not end"

    def run_for(self, seconds: float) -> None:
        """Let it run; a time is what is asked for here, so there is no event to wait for."""
        time.sleep(seconds)

    def wait(
        self, check: Callable[[], object], timeout: float = 5.0, what: str = "what the load waits for"
    ) -> None:
        wait_for(check, timeout, what)

    # --- the thread ---

    def _run(self) -> None:
        number = 0
        for lane in self.lanes:
            for index in range(lane.connections):
                # Spread over the interval: bursts of the generator are not what is measured.
                start = self.began + (index / lane.rate if lane.rate else 0.0)
                heapq.heappush(self._due, (start, number, _Asking(lane)))
                number += 1
        while not self._stop.is_set():
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                self._ask(heapq.heappop(self._due)[2])
            wait = min(0.02, max(0.0, self._due[0][0] - time.monotonic())) if self._due else 0.02
            for descriptor, _ in self._poll.poll(wait):
                self._read(self._asking[descriptor])
        deadline = time.monotonic() + 2.0
        while self._asking_now() and time.monotonic() < deadline:
            for descriptor, _ in self._poll.poll(0.02):
                self._read(self._asking[descriptor])
        if left := self._asking_now():
            self.failures.append(f"{left} requests without an answer 2 s after the end")
        self.ended = time.monotonic()
        for one in self._asking.values():
            if one.sock is not None:
                one.sock.close()
        self._poll.close()

    def _asking_now(self) -> int:
        return sum(one.began > 0 for one in self._asking.values())

    def _ask(self, one: _Asking) -> None:
        try:
            if one.sock is None:
                one.sock = socket.create_connection(self._address, 5)
                one.sock.setsockopt(socket.SOL_TCP, socket.TCP_NODELAY, 1)
                one.sock.setblocking(False)
                self._asking[one.sock.fileno()] = one
                self._poll.register(one.sock.fileno(), select.EPOLLIN)
            one.began = time.monotonic()
            one.sock.send(one.lane.request)
        except OSError as error:
            self._failed(one, f"{type(error).__name__}: {error}")

    def _read(self, one: _Asking) -> None:
        assert one.sock is not None
        try:
            data = one.sock.recv(65536)
        except BlockingIOError:
            return None
        except OSError as error:
            return self._failed(one, f"{type(error).__name__}: {error}")
        one.buffer += data
        end = one.buffer.find(b"\r\n\r\n")
        if end < 0:
            if not data:
                self._failed(one, f"cut after {one.buffer!r}")
            return None
        head = one.buffer[:end].lower()
        at = head.find(b"\r\ncontent-length:")
        length = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(one.buffer) < end + 4 + length:
            if not data:
                self._failed(one, "cut within a body")
            return None
        if len(one.buffer) > end + 4 + length:
            return self._failed(one, f"more than an answer: {one.buffer!r}")
        return self._answered(one, int(one.buffer[9:12]), b"\r\nconnection: close" in head)

    def _answered(self, one: _Asking, status: int, closing: bool) -> None:
        lane, now = one.lane, time.monotonic()
        lane.samples.append(Sample(one.began, now, status))
        began, one.began, one.buffer = one.began, 0.0, b""
        if lane.fresh or closing:
            self._drop(one)
        if not self._stop.is_set():
            # At a pace: the next time of its own schedule, without making good for what it missed.
            one.due = max(now, began + lane.connections / lane.rate) if lane.rate else now
            heapq.heappush(self._due, (one.due, id(one), one))

    def _failed(self, one: _Asking, why: str) -> None:
        self.failures.append(why)
        self._drop(one)
        one.began, one.buffer = 0.0, b""
        if not self._stop.is_set():
            heapq.heappush(self._due, (time.monotonic() + 0.05, id(one), one))

    def _drop(self, one: _Asking) -> None:
        if one.sock is not None:
            self._poll.unregister(one.sock.fileno())
            del self._asking[one.sock.fileno()]
            one.sock.close()
            one.sock = None
