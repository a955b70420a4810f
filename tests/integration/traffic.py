"""Steady traffic in the background of a test: threads that ask again and again, and remember every
failure."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from tests.support.client import request
from tests.support.gateway import Gateway


@dataclass
class Failure:
    at: float
    kind: str
    detail: str


@dataclass
class Traffic:
    """`keep_alive` threads hold one connection each, `fresh` threads open one per request."""

    gateway: Gateway
    keep_alive: int = 2
    fresh: int = 2
    path: str = "/load"
    done: int = 0
    reconnects: int = 0
    failures: list[Failure] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._keep, daemon=True) for _ in range(self.keep_alive)]
        self._threads += [threading.Thread(target=self._fresh, daemon=True) for _ in range(self.fresh)]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(15)

    def wait_done(self, more: int, timeout: float = 20.0) -> None:
        """Until that many more requests were answered."""
        target, deadline = self.done + more, time.monotonic() + timeout
        while self.done < target:
            assert time.monotonic() < deadline, (
                f"only {self.done} of {target} done; failures: {self.failures[-3:]}"
            )
            time.sleep(0.005)

    def _ok(self, status: int) -> None:
        with self._lock:
            if status == 200:
                self.done += 1
            else:
                self.failures.append(Failure(time.monotonic(), "status", str(status)))

    def _failed(self, kind: str, error: Exception) -> None:
        with self._lock:
            self.failures.append(Failure(time.monotonic(), kind, f"{type(error).__name__}: {error}"))

    def _keep(self) -> None:
        while not self._stop.is_set():
            try:
                with self.gateway.client() as client:
                    while not self._stop.is_set():
                        client.send(request(self.path))
                        answer = client.read()
                        self._ok(answer.status)
                        if (answer.get("Connection") or "").lower() == "close":
                            break
            except Exception as error:
                self._failed("keep-alive", error)
            with self._lock:
                self.reconnects += 1

    def _fresh(self) -> None:
        while not self._stop.is_set():
            try:
                with self.gateway.client() as client:
                    client.send(request(self.path, fields=["Connection: close"]))
                    self._ok(client.read().status)
            except Exception as error:
                self._failed("fresh", error)
