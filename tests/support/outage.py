"""What tests of failing services ask again and again: many requests at once, and that nothing is left behind."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.support import processes
from tests.support.client import Client, request
from tests.support.config import Config
from tests.support.faults import FaultProcess
from tests.support.gateway import Gateway
from tests.support.wire import Cut, Response, wait_for

CUT = 0  # instead of a status: the connection ended before the answer did


def written_out(config: Config) -> Config:
    """Without parts that are one object in two places: YAML would make aliases of them, which are refused."""
    copied: Config = json.loads(json.dumps(config))
    return copied


@dataclass(frozen=True)
class Came:
    """What became of a request: the status, who made the answer (the target's name, or "" for the gateway)."""

    status: int
    target: str = ""
    reason: str = ""


def came(answer: Response) -> Came:
    reason = ""
    if (answer.get("Content-Type") or "").startswith("application/problem+json"):
        reason = str(json.loads(answer.body)["reason"])
    return Came(answer.status, answer.get("X-Target") or "", reason)


def ask_all(gateway: Gateway, asks: Iterable[tuple[str, bytes]], width: int = 8) -> list[Came]:
    """Send every (method, request) once, over `width` connections that are kept as long as they live. What a timed-out
    answer or a failed connect would be is an error of the test."""
    todo = iter(asks)
    lock = threading.Lock()
    found: list[Came] = []
    errors: list[BaseException] = []

    def caller() -> None:
        client: Client | None = None
        while not errors:
            with lock:
                ask = next(todo, None)
            if ask is None:
                break
            client = client or gateway.client(timeout=15.0)
            method, data = ask
            try:
                client.send(data)
                answer = client.read(method)
                one, closing = came(answer), (answer.get("Connection") or "").lower() == "close"
            except (Cut, BrokenPipeError, ConnectionResetError):
                one, closing = Came(CUT), True
            with lock:
                found.append(one)
            if closing:
                client.close()
                client = None
        if client is not None:
            client.close()

    def run() -> None:
        try:
            caller()
        except BaseException as error:  # a thread's errors are nobody's otherwise
            errors.append(error)

    threads = [threading.Thread(target=run, daemon=True, name=f"caller-{number}") for number in range(width)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return found


def gets(path: str, count: int, **options: Any) -> list[tuple[str, bytes]]:
    return [("GET", request(path, **options))] * count


def statuses(found: Sequence[Came]) -> dict[int, int]:
    return dict(Counter(one.status for one in found))


def targets(found: Sequence[Came]) -> Counter[str]:
    return Counter(one.target for one in found if one.status == 200)


def one_get(gateway: Gateway, path: str, **options: Any) -> Came:
    with gateway.client(timeout=15.0) as client:
        return came(client.get(path, **options))


def meets(faults: FaultProcess, name: str) -> int:
    """Requests that the target was sent so far; health checks are none."""
    return int(faults.counts(name)["requests"])


@contextmanager
def nothing_left(gateway: Gateway) -> Iterator[None]:
    """After the block every exchange is in the books once, none is in flight anywhere, and the workers hold as many
    sockets as before. Upstreams need a short `connections.idle_timeout`."""
    pids = gateway.worker_pids()
    before = [processes.sockets(pid) for pid in pids]
    yield

    def quiet() -> bool:
        metrics = gateway.metrics()
        return not any(
            metrics.sum(name)
            for name in ("fastgw_in_flight", "fastgw_upstream_in_flight", "fastgw_connections")
        )

    wait_for(quiet, 5.0, "nothing in flight", every=0.05)
    gateway.check_ledger()
    assert gateway.worker_pids() == pids
    # One more where control had not connected its stream yet, or asks for the status just now.
    wait_for(
        lambda: all(processes.sockets(pid) <= had for pid, had in zip(pids, before, strict=True)),
        6.0,
        f"as many sockets as before ({before})",
        every=0.1,
    )


def said(gateway: Gateway, *words: str) -> list[str]:
    """The lines of the operator's log with all these words."""
    return [line for line in gateway.stderr().splitlines() if all(word in line for word in words)]


def wait_said(gateway: Gateway, *words: str, timeout: float = 3.0) -> list[str]:
    return list(wait_for(lambda: said(gateway, *words), timeout, f"a line with {words}", every=0.01))


def state_of(gateway: Gateway, upstream: str, target: str = "") -> float:
    """fastgw_breaker_state: 0 closed, 1 half open, 2 open."""
    return gateway.metrics().sum("fastgw_breaker_state", upstream=upstream, target=target)
