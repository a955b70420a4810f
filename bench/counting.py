"""`python -m bench.counting run -c FILE`: fastgw, with every task, future, timer and log call counted.

Each process of the gateway counts into a file of its own under $BENCH_COUNTS (PID.json), written every half
second, so that nothing in the gateway has to help. With $BENCH_FRAMES every Python call is counted by name. Loop
callbacks that hold the thread for long are noted with their CPU time. Counting is slow and only for bench.profile
and bench.cases.reload: it says what happens, not how fast.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import os
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import uvloop

from fastgw.cli.main import main

# Where the callback stands among the arguments of what schedules it.
SCHEDULERS = {"call_soon": 0, "call_soon_threadsafe": 0, "call_later": 1, "call_at": 1, "add_reader": 1}
LOOP_METHODS = ("create_task", "create_future", "run_in_executor")
EVERY_SECONDS = 0.5
LONG_SECONDS = 0.0005
LONG_KEPT = 1000


class Counts:
    """What one process did. A fork starts its own, from zero, in its own file."""

    def __init__(self, folder: Path, frames: bool) -> None:
        self._folder = folder
        self._frames = frames
        self._written = 0.0
        self._own = 0.0  # CPU time of the writing itself, which no callback shall be blamed for
        self.calls: Counter[str] = Counter()
        self.frames: Counter[object] = Counter()
        self.long: deque[tuple[float, float, str]] = deque(maxlen=LONG_KEPT)

    def begin(self) -> None:
        self.calls.clear()
        self.frames.clear()
        self.long.clear()
        if self._frames:
            sys.setprofile(self._on_frame)

    def write_sometimes(self) -> None:
        now = time.monotonic()
        if now - self._written >= EVERY_SECONDS:
            self._written = now
            begin = time.thread_time()
            self.write()
            self._own += time.thread_time() - begin

    def write(self) -> None:
        named: Counter[str] = Counter()
        for key, count in dict(self.frames).items():  # a copy: what is called here is counted too
            named[key if isinstance(key, str) else _name(key)] += count
        path = self._folder / f"{os.getpid()}.json"
        spare = path.with_suffix(".new")
        spare.write_text(json.dumps({"calls": self.calls, "frames": named, "long": list(self.long)}))
        spare.replace(path)

    def count(self, name: str, function: Callable[..., Any], callback_at: int = -1) -> Callable[..., Any]:
        @functools.wraps(function)
        def counted(*arguments: Any, **options: Any) -> Any:
            self.calls[name] += 1
            self.write_sometimes()
            at = callback_at + 1  # the first argument is the loop
            if callback_at >= 0 and at < len(arguments):
                arguments = (*arguments[:at], self.timed(arguments[at]), *arguments[at + 1 :])
            return function(*arguments, **options)

        return counted

    def timed(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        if getattr(callback, "__wrapped__", None) is not None:
            return callback  # scheduling that ends in other scheduling: timed already

        @functools.wraps(callback)
        def call(*arguments: Any) -> Any:
            begin, own = time.thread_time(), self._own
            try:
                return callback(*arguments)
            finally:
                used = time.thread_time() - begin - (self._own - own)
                if used >= LONG_SECONDS:
                    name = getattr(callback, "__qualname__", repr(callback))
                    self.long.append((time.monotonic(), used, name))

        return call

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
    for name, at in SCHEDULERS.items():
        setattr(uvloop.Loop, name, counts.count(name, getattr(uvloop.Loop, name), at))
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
    main(prog_name="fastgw")
