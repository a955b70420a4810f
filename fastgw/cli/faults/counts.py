"""What a faulty service has met: requests, methods, faults, and requests that came a second time."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

# Of ids that came twice, as many are shown: enough to find them in a log.
SHOWN: Final = 20
# Seconds since the last order that are counted one by one: a return is watched for a minute or two.
SECONDS: Final = 600
# Beyond so many ids (100 bytes each) deliveries are no longer told apart.
MAX_IDS: Final = 1_000_000


class Deliveries:
    """Which X-Test-Id came how often, over all services that share it: a request that one target got and then another
    was delivered twice."""

    def __init__(self) -> None:
        self._ids: dict[bytes, int] = {}
        self.doubles: Counter[str] = Counter()  # method -> deliveries after the first
        self.examples: list[str] = []

    def met(self, method: str, test_id: bytes) -> None:
        times = self._ids.get(test_id, 0) + 1
        if times > 1:
            self.doubles[method] += 1
            if len(self.examples) < SHOWN:
                self.examples.append(f"{method} {test_id.decode('latin-1')}")
        elif len(self._ids) >= MAX_IDS:
            return
        self._ids[test_id] = times

    def clear(self) -> None:
        self._ids.clear()
        self.doubles.clear()
        self.examples.clear()

    def as_json(self) -> dict[str, Any]:
        return {"ids": len(self._ids), "doubles": dict(self.doubles), "examples": list(self.examples)}


class Counts:
    """Of one service. For a proxy a request is a turn: bytes towards the service after bytes from it."""

    __slots__ = ("answered", "checks", "connections", "faults", "methods", "requests", "seconds", "since")

    def __init__(self, now: float) -> None:
        self.since = now
        self.clear()

    def clear(self) -> None:
        self.requests = 0  # health checks are not among them
        self.checks = 0
        self.answered = 0  # whole answers of whatever status
        self.connections = 0  # accepted so far
        self.methods: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()  # mode -> requests (or connections) that met it
        self.seconds: list[int] = []

    def told(self, now: float) -> None:
        self.since = now
        self.seconds = []

    def request(self, now: float) -> None:
        self.requests += 1
        second = int(now - self.since)
        if second < SECONDS:
            missing = second + 1 - len(self.seconds)
            if missing > 0:
                self.seconds.extend([0] * missing)
            self.seconds[second] += 1

    def as_json(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "methods": dict(self.methods),
            "health_checks": self.checks,
            "faults": dict(self.faults),
            "answered": self.answered,
            "connections": self.connections,
            "seconds": list(self.seconds),
        }
