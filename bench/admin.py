"""What the bench asks the gateway itself at its admin address: /api/status, the states of breakers, and what
/metrics says of limits.
"""

from __future__ import annotations

import json
import re
import time
import urllib.request
from typing import Any

from bench.errors import BenchError

_DECISIONS = re.compile(r"^fastgw_limit_decisions_total\{([^}]*)\} (\S+)", re.MULTILINE)
_MODE = re.compile(r'mode="(\w+)"')


def status(admin_port: int) -> dict[str, Any]:
    return _json(f"http://127.0.0.1:{admin_port}/api/status")


def _json(url: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except (OSError, ValueError) as error:
        raise BenchError(f"{url}: {error}") from error


def breaker_state(admin_port: int, upstream: str) -> str:
    return circuit_of(_json(f"http://127.0.0.1:{admin_port}/api/upstreams"), upstream)


def circuit_of(found: dict[str, Any], upstream: str) -> str:
    """The least closed of its own breaker and those of its targets, in any worker."""
    for one in found["upstreams"]:
        if one["name"] == upstream:
            heard = [one["breaker"], *(target["breaker"] for target in one["targets"])]
            states = {each["state"] for workers in heard for each in workers or ()}
            return next((state for state in ("open", "half_open") if state in states), "closed")
    raise BenchError(f"there is no upstream {upstream}")


def answers(admin_port: int) -> bool:
    """Whether control is there. (That its socket accepts says nothing: the supervisor opened it.)"""
    try:
        status(admin_port)
    except BenchError:
        return False
    return True


def served_by_all(found: dict[str, Any], above: int) -> bool:
    """Every worker serves the newest version, and that is a newer one than `above`."""
    newest = found["version"]
    workers = found["workers"]
    return newest > above and bool(workers) and all(worker["version"] == newest for worker in workers)


def wait_for_version(admin_port: int, above: int, within: float) -> float:
    """Seconds until every worker serves a version above the given one."""
    begin = time.monotonic()
    while not served_by_all(status(admin_port), above):
        if time.monotonic() - begin > within:
            raise BenchError(f"no version above {above} within {within:.0f} s")
        time.sleep(0.005)
    return time.monotonic() - begin


def limit_modes(admin_port: int, within: float = 3.0) -> dict[str, float]:
    """How many decisions of limits were taken on which store: redis, lease, local, allow, deny.

    Workers count those of admitted requests at a tick of theirs, so the first look may find none.
    """
    deadline = time.monotonic() + within
    while not (found := _limit_modes(admin_port)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def _limit_modes(admin_port: int) -> dict[str, float]:
    url = f"http://127.0.0.1:{admin_port}/metrics"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return parse_limit_modes(answer.read().decode())
    except (OSError, ValueError) as error:
        raise BenchError(f"{url}: {error}") from error


def parse_limit_modes(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for labels, value in _DECISIONS.findall(text):
        mode = _MODE.search(labels)
        if mode:
            found[mode.group(1)] = found.get(mode.group(1), 0) + float(value)
    return found
