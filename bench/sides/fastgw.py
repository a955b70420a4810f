"""The gateway itself as a side: one route, one upstream, access log to a file, admin address on.

As operators run it: only keys that differ from the defaults are written.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bench.load import traffic
from bench.sides.side import MAX_BODY_MB, MAX_CONNECTIONS, Command, Plan


def _route(index: int) -> str:
    exact, path = traffic.route_of(index)
    pattern = path if exact else f"{path}*"
    return f"  - {{name: r{index}, match: {{path: {json.dumps(pattern)}}}, upstream: backend}}\n"


def render(plan: Plan) -> str:
    routes = "".join(_route(index) for index in range(plan.routes))
    if not plan.routes:
        routes = "  - {name: all, match: {path: /*}, upstream: backend}\n"
    return f"""listeners:
  - address: 127.0.0.1:{plan.port}
workers: {plan.workers}
admin: {{address: "127.0.0.1:{plan.admin_port}"}}
drain: {{delay: 0s, timeout: {plan.drain_seconds}s}}
store: file:{plan.folder}/versions
log: {{access: {plan.access_log}}}
server: {{max_connections: {MAX_CONNECTIONS}, max_body: {MAX_BODY_MB}MB}}
upstreams:
  backend:
    targets: [http://127.0.0.1:{plan.upstream_port}]
    connections: {{max: 256, idle: 256}}
  sink:
    targets: [http://127.0.0.1:{plan.sink_port}]
routes:
  - {{name: upload, match: {{path: /upload/*}}, upstream: sink}}
{routes}"""


def write(plan: Plan) -> Command:
    config = plan.folder / "fastgw.yaml"
    config.write_text(render(plan))
    return Command((sys.executable, "-m", "fastgw", "run", "-c", str(config)), config)


def write_counted(plan: Plan, counts: Path, frames: bool) -> Command:
    """The same, started through bench.counting, which counts what a request costs (see bench.profile)."""
    command = write(plan)
    launcher = (sys.executable, "-m", "bench.counting", *command.argv[3:])
    environ = {"BENCH_COUNTS": str(counts), "BENCH_FRAMES": "1" if frames else ""}
    return Command(launcher, command.config, environ=environ)
