"""wrk: closed loop, keep-alive, as fast as the side answers. The Lua script and the reading of its answer."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import process, tools
from bench.errors import BenchError, VoidError
from bench.load import traffic

MARK = "BENCH "
ERRORS = ("connect", "read", "write", "status", "timeout")

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
class Result:
    requests: int
    seconds: float
    received: int
    p50_us: float
    p99_us: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def script(paths: Sequence[str], hostile: bool, nonce: str) -> str:
    """`nonce` differs from run to run, so that no unique header is ever seen twice."""
    heads = "".join(
        f"  {json.dumps(traffic.head('GET', path, traffic.headers(index)))},\n"
        for index, path in enumerate(paths)
    )
    return _SCRIPT % {"heads": heads, "hostile": "true" if hostile else "false", "nonce": nonce, "mark": MARK}


def parse(output: str) -> Result:
    """The line that done() wrote; any error that wrk counted voids the run."""
    for line in output.splitlines():
        if line.startswith(MARK):
            try:
                found = json.loads(line[len(MARK) :])
            except ValueError as error:
                raise BenchError(f"wrk wrote an unreadable line: {line!r}") from error
            break
    else:
        raise BenchError(f"wrk wrote no result: {output.strip()!r}")
    failed = {kind: found[kind] for kind in ERRORS if found[kind]}
    if failed:
        raise VoidError(f"wrk counted errors: {failed} in {found['requests']} requests")
    if found["requests"] <= 0 or found["duration_us"] <= 0:
        raise VoidError("wrk finished no request")
    return Result(
        found["requests"], found["duration_us"] / 1e6, found["bytes"], found["p50_us"], found["p99_us"]
    )


@dataclass(frozen=True)
class Wrk:
    folder: Path
    cores: tuple[int, ...]
    connections: int = 64

    def run(self, port: int, paths: Sequence[str], seconds: float, hostile: bool = False) -> Result:
        file = self.folder / "load.lua"
        file.write_text(script(paths, hostile, secrets.token_hex(4)))
        argv = [
            *(tools.path_of("wrk"), "-t1", f"-c{self.connections}", f"-d{max(1, round(seconds))}s"),
            *("--timeout", "10s", "-s", str(file), f"http://127.0.0.1:{port}/"),
        ]
        return parse(process.run(argv, self.cores, seconds + 30))
