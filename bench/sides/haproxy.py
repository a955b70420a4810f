"""HAProxy as a side: http mode, one thread per worker, connections to the upstream reused, httplog on."""

from __future__ import annotations

from bench import tools
from bench.load import traffic
from bench.sides.side import MAX_CONNECTIONS, Command, Plan


def render(plan: Plan) -> str:
    routes = ""
    if plan.routes:
        for index in range(plan.routes):
            exact, path = traffic.route_of(index)
            routes += f"  use_backend backend if {{ {'path' if exact else 'path_beg'} {path} }}\n"
    return f"""global
  nbthread {plan.workers}
  maxconn {MAX_CONNECTIONS}
  log stdout format raw local0 info
  hard-stop-after {plan.drain_seconds}s

defaults
  mode http
  log global
  option httplog
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 75s
  timeout server 60s
  timeout http-keep-alive 75s

frontend front
  bind 127.0.0.1:{plan.port} backlog 4096
  use_backend sink if {{ path_beg /upload/ }}
{routes}  default_backend backend

backend backend
  server upstream 127.0.0.1:{plan.upstream_port}

backend sink
  server sink 127.0.0.1:{plan.sink_port}
"""


def write(plan: Plan) -> Command:
    config = plan.folder / "haproxy.cfg"
    config.write_text(render(plan))
    return Command((tools.path_of("haproxy"), "-db", "-f", str(config)), config, logs_to_output=True)
