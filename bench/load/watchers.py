"""Those who look on: live tails of everything, and a scrape of the metrics each second, until the input ends.

`python -m bench.load.watchers JSON`, in a process of its own; at its end it says what was seen.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import cast

from bench import process
from bench.errors import BenchError

EVENT = b"\nevent: exchange\n"
PATIENCE = 15.0
READY = "watching"


@dataclass(frozen=True)
class Job:
    admin_port: int
    tails: int
    scrape_every: float = 1.0  # seconds; 0: never


@dataclass
class Seen:
    exchanges: int = 0  # by all tails together
    scrapes: int = 0
    scraped: int = 0  # bytes of the last
    slowest_ms: float = 0.0  # of the scrapes


async def open_stream(port: int, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise BenchError(f"{path}: {head.decode(errors='replace')[:200]}")
    return reader, writer


async def watch(reader: asyncio.StreamReader, seen: Seen) -> None:
    """Counts events; a piece may end within the word, so its end is looked at again."""
    rest = b""
    while data := await reader.read(1 << 16):
        text = rest + data
        seen.exchanges += text.count(EVENT)
        at = text.rfind(EVENT)
        rest = text[max(len(text) - len(EVENT) + 1, at + len(EVENT) if at >= 0 else 0) :]
    raise BenchError("a tail ended by itself")


async def scrape(job: Job, seen: Seen) -> None:
    while True:
        begin = time.monotonic()
        reader, writer = await open_stream(job.admin_port, "/metrics")
        seen.scraped = len(await reader.read(-1))
        writer.close()
        took = time.monotonic() - begin
        seen.scrapes += 1
        seen.slowest_ms = max(seen.slowest_ms, took * 1000)
        await asyncio.sleep(max(0.0, job.scrape_every - took))


async def look_on(job: Job) -> Seen:
    seen = Seen()
    tails = [await open_stream(job.admin_port, "/api/tail") for _ in range(job.tails)]
    tasks = [asyncio.ensure_future(watch(reader, seen)) for reader, _ in tails]
    if job.scrape_every:
        tasks.append(asyncio.ensure_future(scrape(job, seen)))
    print(READY, flush=True)
    end = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await asyncio.wait({end, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        if task.done():
            task.result()  # nobody leaves before the end: it says why
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for _, writer in tails:
        writer.close()
    return seen


class Watchers:
    """A context: they look on while it is open; `seen` is there after it."""

    def __init__(self, job: Job, cores: Sequence[int]) -> None:
        self._job = job
        self._cores = cores
        self.seen = Seen()

    def __enter__(self) -> Watchers:
        argv = process.pinned([sys.executable, "-m", "bench.load.watchers", json.dumps(asdict(self._job))], self._cores)
        self._popen = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=process.ROOT,
            start_new_session=True,
        )
        process.prefer(self._popen.pid)
        assert self._popen.stdout is not None
        if self._popen.stdout.readline().strip() != READY:
            raise BenchError(f"nobody looks on: {self._popen.communicate()[1].strip()[-400:]}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            output, errors = self._popen.communicate("", PATIENCE)
        except subprocess.TimeoutExpired as late:
            raise BenchError("those who look on did not end") from late
        finally:
            if self._popen.poll() is None:
                self._popen.kill()
                self._popen.communicate()
        if kind is None:
            self.seen = parse(self._popen.returncode, output, errors)


def parse(code: int, output: str, errors: str) -> Seen:
    if code:
        raise BenchError(f"those who look on ended with {code}: {errors.strip()[-400:]}")
    return Seen(**cast(dict[str, int], json.loads(output)))


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(look_on(Job(**json.loads(sys.argv[1])))))))
