"""The gateway itself as a side: one route, one upstream, access log to a file, admin address on.

As operators run it: only keys that differ from the defaults are written.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bench.load import tokens, traffic
from bench.sides.side import MAX_BODY_MB, MAX_CONNECTIONS, Command, Plan, Policies


def _route(index: int) -> str:
    exact, path = traffic.route_of(index)
    pattern = path if exact else f"{path}*"
    return f"  - {{name: r{index}, match: {{path: {json.dumps(pattern)}}}, upstream: backend}}\n"


def _guarded(policies: Policies) -> str:
    """The one route of the cases about policies; it leaves paths that no route has."""
    text = "  - name: api\n    match: {path: /api/*}\n    upstream: backend\n"
    if policies.jwt:
        text += f"    auth: {{any: [jwt: main], scopes: [{json.dumps(tokens.SCOPE)}]}}\n"
    if policies.limited:
        text += "    limits:\n"
    for name, key, rate in (
        ("address", "client_ip", policies.address),
        ("consumer", "consumer", policies.consumer),
    ):
        if rate:
            text += (
                f"      - {{name: per-{name}, key: {key}, rate: {rate}/s, burst: {rate}, "
                f"lease: {json.dumps(policies.lease)}}}\n"
            )
    return text


def _shared(policies: Policies) -> str:
    """What the policies of routes refer to."""
    text = f"redis: {{url: {json.dumps(policies.store)}}}\n" if policies.store else ""
    if policies.jwt:
        text += (
            f"issuers:\n  main: {{issuer: {json.dumps(tokens.ISSUER)}, audience: {json.dumps(tokens.AUDIENCE)}, "
            f"algorithms: [HS256], secret: {json.dumps(tokens.SECRET)}}}\n"
        )
    return text


def render(plan: Plan) -> str:
    routes = "".join(_route(index) for index in range(plan.routes))
    if not plan.routes:
        routes = "  - {name: all, match: {path: /*}, upstream: backend}\n"
    shared = ""
    if plan.policies is not None:
        routes, shared = _guarded(plan.policies), _shared(plan.policies)
    return f"""listeners:
  - address: 127.0.0.1:{plan.port}
workers: {plan.workers}
admin: {{address: "127.0.0.1:{plan.admin_port}"}}
drain: {{delay: 0s, timeout: {plan.drain_seconds}s}}
store: file:{plan.folder}/versions
log: {{access: {plan.access_log}}}
server: {{max_connections: {MAX_CONNECTIONS}, max_body: {MAX_BODY_MB}MB}}
{shared}upstreams:
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
