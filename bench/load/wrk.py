"""wrk: closed loop, keep-alive, as fast as the side answers. The Lua script and the reading of its answer."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import process, tools
from bench.errors import BenchError, VoidError
from bench.load import traffic

MARK = "BENCH "
ERRORS = ("connect", "read", "write", "status", "timeout")
REFUSED_SHARE = 0.99  # of a load that is to be refused: a bucket of a few tokens admits its due before

OK, REFUSED, MIXED = "ok", "refused", "mixed"

_SCRIPT = """-- Written by bench/load/wrk.py. Every request is ready before the first is sent.
local heads = {
%(heads)s}
local hostile = %(hostile)s
local threads = 0
function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end
local at, count, sent = 0, #heads, 0
local ready = {}
function init(args)
  for i, head in ipairs(heads) do ready[i] = head .. "\\r\\n" end
  at = (number * 389) %% count
end
function request()
  at = at %% count + 1
  if not hostile then return ready[at] end
  sent = sent + 1
  return heads[at] .. string.format("X-Request-Nonce: %(nonce)s-%%d-%%08x\\r\\n\\r\\n", number, sent)
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '%(mark)s{"requests":%%d,"duration_us":%%d,"bytes":%%d,"connect":%%d,"read":%%d,"write":%%d,' ..
    '"status":%%d,"timeout":%%d,"p50_us":%%d,"p99_us":%%d}\\n',
    summary.requests, summary.duration, summary.bytes, e.connect, e.read, e.write,
    e.status, e.timeout, latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Load:
    """What is asked, and what must come of it: OK without one error, REFUSED all but the first few, MIXED some."""

    paths: Sequence[str]
    hostile: bool = False
    bearer: Callable[[int], str] = traffic.credential
    answers: str = OK
    fresh: bool = False  # a connection for each request


@dataclass(frozen=True)
class Result:
    requests: int
    seconds: float
    received: int
    p50_us: float
    p99_us: float
    refused: int = 0  # answers of 400 and above

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def script(load: Load, nonce: str) -> str:
    """`nonce` differs from run to run, so that no unique header is ever seen twice."""
    last = [("Connection", "close")] if load.fresh else []
    heads = "".join(
        f"  {json.dumps(traffic.head('GET', path, [*traffic.headers(index, load.bearer), *last]))},\n"
        for index, path in enumerate(load.paths)
    )
    hostile = "true" if load.hostile else "false"
    return _SCRIPT % {"heads": heads, "hostile": hostile, "nonce": nonce, "mark": MARK}


def parse(output: str, answers: str = OK) -> Result:
    """The line that done() wrote; any error that wrk counted and that was not asked for voids the run."""
    for line in output.splitlines():
        if line.startswith(MARK):
            try:
                found = json.loads(line[len(MARK) :])
            except ValueError as error:
                raise BenchError(f"wrk wrote an unreadable line: {line!r}") from error
            break
    else:
        raise BenchError(f"wrk wrote no result: {output.strip()!r}")
    asked_for = () if answers == OK else ("status",)
    failed = {kind: found[kind] for kind in ERRORS if found[kind] and kind not in asked_for}
    if failed:
        raise VoidError(f"wrk counted errors: {failed} in {found['requests']} requests")
    if found["requests"] <= 0 or found["duration_us"] <= 0:
        raise VoidError("wrk finished no request")
    refused = found["status"]
    if answers == REFUSED and refused < REFUSED_SHARE * found["requests"]:
        raise VoidError(f"only {refused} of {found['requests']} requests were refused")
    return Result(
        *(found["requests"], found["duration_us"] / 1e6, found["bytes"]),
        *(found["p50_us"], found["p99_us"], refused),
    )


@dataclass(frozen=True)
class Wrk:
    folder: Path
    cores: tuple[int, ...]
    connections: int = 64

    def run(self, port: int, load: Load, seconds: float) -> Result:
        file = self.folder / "load.lua"
        file.write_text(script(load, secrets.token_hex(4)))
        argv = [
            *(tools.path_of("wrk"), "-t1", f"-c{self.connections}", f"-d{max(1, round(seconds))}s"),
            *("--timeout", "10s", "-s", str(file), f"http://127.0.0.1:{port}/"),
        ]
        return parse(process.run(argv, self.cores, seconds + 30), load.answers)
