"""h2load --h1 --rps: a rate that does not wait for the side (open model).

Latencies from its log, one line a request.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench import process, stats, tools
from bench.errors import BenchError, VoidError
from bench.load import traffic

_SUMMARY = re.compile(
    r"requests: (\d+) total, (\d+) started, (\d+) done, (\d+) succeeded, "
    r"(\d+) failed, (\d+) errored, (\d+) timeout"
)
# The clients of one h2load send at the same instant; several of them, started apart, spread the arrivals.
DRIVERS = 16
STAGGER_SECONDS = 0.010 * (1 + 1 / DRIVERS)  # a sixteenth of a tick apart
WARM_SECONDS = 1.0  # longer than it takes to start them all
PER_CLIENT = 100.0  # requests a second: h2load's own clock ticks every 10 ms, faster clients send in bursts
REACHED = 0.97  # share of the wanted rate below which the driver itself was the bottleneck


@dataclass(frozen=True)
class Result:
    requests: int
    rate: float
    p50_us: float
    p99_us: float
    max_us: float


def parse_summary(output: str, refused: bool = False) -> int:
    """How many were answered; any failure voids the run, and so does a success where all are to be refused."""
    match = _SUMMARY.search(output)
    if match is None:
        raise BenchError(f"h2load wrote no summary: {output.strip()[-400:]!r}")
    _, _, done, succeeded, failed, errored, timeout = map(int, match.groups())
    wanted, other = (failed, succeeded) if refused else (succeeded, failed)
    if other or errored or timeout or wanted != done:
        raise VoidError(f"h2load counted errors: {match.group(0)}")
    return done


def parse_log(text: str, refusal: int = 0) -> list[tuple[int, int]]:
    """(start, duration) in microseconds of each request, in order of their start. `refusal`: the status of all."""
    rows = []
    for line in text.splitlines():
        start, status, duration = line.split("\t")[:3]
        if int(status) != refusal if refusal else not 200 <= int(status) < 400:
            raise VoidError(f"h2load saw status {status}")
        rows.append((int(start), int(duration)))
    rows.sort()
    return rows


def judge(rows: Sequence[tuple[int, int]], wanted_rate: float, skip: float, seconds: float) -> Result:
    """Percentiles of what began within `seconds` after the first `skip`: when all drivers run."""
    if not rows:
        raise VoidError("h2load finished no request")
    begin = rows[0][0] + int(skip * 1e6)
    kept = [row for row in rows if begin <= row[0] < begin + int(seconds * 1e6)]
    if len(kept) < 100:
        raise VoidError(f"only {len(kept)} requests after the first {skip} s")
    span = (kept[-1][0] - kept[0][0]) / 1e6
    rate = len(kept) / span if span > 0 else 0.0
    if rate < REACHED * wanted_rate:
        raise VoidError(
            f"wanted {wanted_rate:.0f} requests a second, only {rate:.0f} were sent: not an open model"
        )
    durations = sorted(row[1] for row in kept)
    return Result(
        len(kept), rate, stats.percentile(durations, 0.50), stats.percentile(durations, 0.99), durations[-1]
    )


@dataclass(frozen=True)
class H2load:
    folder: Path
    cores: tuple[int, ...]

    def run(self, port: int, paths: Sequence[str], rate: float, seconds: float, refusal: int = 0) -> Result:
        """`refusal`: the status that every answer must have, where none may be a success."""
        uris = self.folder / "uris.txt"
        uris.write_text("".join(f"http://127.0.0.1:{port}{path}\n" for path in paths))
        share = rate / DRIVERS
        with ThreadPoolExecutor(DRIVERS) as pool:
            futures = []
            for number in range(DRIVERS):
                futures.append(pool.submit(self._one, number, share, seconds, refusal))
                time.sleep(STAGGER_SECONDS)
            rows = sorted(row for future in futures for row in future.result())
        return judge(rows, rate, WARM_SECONDS, seconds)

    def _one(self, number: int, rate: float, seconds: float, refusal: int) -> list[tuple[int, int]]:
        log = self.folder / f"h2load-{number}.log"
        log.unlink(missing_ok=True)
        clients = max(1, math.ceil(rate / PER_CLIENT))
        fields = [f"-H{name}: {value}" for name, value in traffic.headers(number) if name != "Host"]
        argv = [
            *(tools.path_of("h2load"), "--h1", "-t1", f"-c{clients}", "-m1"),
            *(f"--rps={rate / clients:.3f}", f"-D{math.ceil(seconds + 2 * WARM_SECONDS)}"),
            *(f"--log-file={log}", f"-i{self.folder / 'uris.txt'}", *fields),
        ]
        parse_summary(process.run(argv, self.cores, seconds + 30), bool(refusal))
        return parse_log(log.read_text(), refusal)
