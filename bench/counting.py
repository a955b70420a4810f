"""`python -m bench.counting run -c FILE`: fastgw, with every task, future, timer and log call counted.

Each process of the gateway counts into a file of its own under $BENCH_COUNTS (PID.json), written every half
second, so that nothing in the gateway has to help. With $BENCH_FRAMES every Python call is counted by name.
Counting is slow and only for bench.profile: it says what happens, not how fast.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import uvloop
from fastgw.__main__ import main

LOOP_METHODS = (
    *("call_soon", "call_soon_threadsafe", "call_later", "call_at"),
    *("create_task", "create_future", "run_in_executor"),
)
EVERY_SECONDS = 0.5


class Counts:
    """What one process did. A fork starts its own, from zero, in its own file."""

    def __init__(self, folder: Path, frames: bool) -> None:
        self._folder = folder
        self._frames = frames
        self._written = 0.0
        self.calls: Counter[str] = Counter()
        self.frames: Counter[object] = Counter()

    def begin(self) -> None:
        self.calls.clear()
        self.frames.clear()
        if self._frames:
            sys.setprofile(self._on_frame)

    def write_sometimes(self) -> None:
        now = time.monotonic()
        if now - self._written >= EVERY_SECONDS:
            self._written = now
            self.write()

    def write(self) -> None:
        named: Counter[str] = Counter()
        for key, count in self.frames.items():
            named[key if isinstance(key, str) else _name(key)] += count
        path = self._folder / f"{os.getpid()}.json"
        spare = path.with_suffix(".new")
        spare.write_text(json.dumps({"calls": self.calls, "frames": named}))
        spare.replace(path)

    def count(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def counted(*arguments: Any, **options: Any) -> Any:
            self.calls[name] += 1
            self.write_sometimes()
            return function(*arguments, **options)

        return counted

    def _on_frame(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            self.frames[frame.f_code] += 1
        elif event == "c_call":
            self.frames[f"C {getattr(argument, '__qualname__', '?')}"] += 1


def _name(code: Any) -> str:
    file = Path(code.co_filename)
    return f"{'/'.join(file.parts[-2:])} {code.co_qualname}"


def install(counts: Counts) -> None:
    """Replaces what is counted by counting versions; the subclass of uvloop's C loop takes attributes."""
    for name in LOOP_METHODS:
        setattr(uvloop.Loop, name, counts.count(name, getattr(uvloop.Loop, name)))
    for name in ("timeout", "timeout_at", "wait_for"):
        setattr(asyncio, name, counts.count(f"asyncio.{name}", getattr(asyncio, name)))
    setattr(logging.Logger, "handle", counts.count("logging", logging.Logger.handle))  # noqa: B010  mypy
    os.register_at_fork(after_in_child=counts.begin)


if __name__ == "__main__":
    folder = Path(os.environ["BENCH_COUNTS"])
    folder.mkdir(parents=True, exist_ok=True)
    install(Counts(folder, bool(os.environ.get("BENCH_FRAMES"))))
    sys.exit(main())
