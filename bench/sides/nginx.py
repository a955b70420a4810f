"""nginx as a side: the plain keep-alive proxy pass with its access log on that everything is compared with.

Pure text; the launcher is bench.world.
"""

from __future__ import annotations

import os
from pathlib import Path

from bench import tools
from bench.load import traffic
from bench.sides.side import MAX_BODY_MB, MAX_CONNECTIONS, Command, Plan

TEMP_PATHS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def preamble(folder: Path, workers: int) -> str:
    """The part above http{}, shared with the upstream. Root would otherwise serve files as `nobody`."""
    user = "user root;\n" if os.geteuid() == 0 else ""
    return (
        f"daemon off;\n{user}worker_processes {workers};\nworker_rlimit_nofile {MAX_CONNECTIONS + 1000};\n"
        f"error_log {folder}/error.log warn;\npid {folder}/nginx.pid;\n"
        f"events {{ worker_connections {MAX_CONNECTIONS}; }}\n"
    )


def temp_paths(folder: Path) -> str:
    return "".join(f"  {name}_temp_path {folder}/temp_{name};\n" for name in TEMP_PATHS)


def pass_to(upstream: str) -> str:
    return (
        f"proxy_pass http://{upstream}; proxy_http_version 1.1; "
        'proxy_set_header Connection ""; proxy_set_header Host $host;'
    )


def _zone(plan: Plan) -> str:
    """The limit by address, in shared memory. Refusals go to the access log, as ours do, and not to a second one."""
    if plan.policies is None or not plan.policies.address:
        return ""
    rate = plan.policies.address
    return (
        f"  limit_req_zone $binary_remote_addr zone=address:1m rate={rate}r/s;\n"
        f"  limit_req_status 429; limit_req_log_level info; limit_req zone=address burst={rate} nodelay;\n"
    )


def _locations(plan: Plan) -> str:
    if not plan.routes:
        return f"    location / {{ {pass_to('backend')} }}\n"
    lines = []
    for index in range(plan.routes):
        exact, path = traffic.route_of(index)
        lines.append(f"    location {'= ' if exact else ''}{path} {{ {pass_to('backend')} }}\n")
    return "".join(lines)


def render(plan: Plan) -> str:
    reuseport = " reuseport" if plan.workers > 1 else ""
    tuned = ""
    if plan.tuned:
        tuned = (
            "    proxy_buffers 8 256k; proxy_buffer_size 256k; proxy_busy_buffers_size 512k;\n"
            "    proxy_request_buffering off; client_body_buffer_size 256k;\n"
        )
    return (
        preamble(plan.folder, plan.workers)
        + "http {\n"
        + f"  access_log {plan.access_log} combined;\n"
        + temp_paths(plan.folder)
        + _zone(plan)
        # The default of 1,000 requests per connection would cost nginx new connections that the others save.
        + "  keepalive_requests 1000000000; keepalive_timeout 75s;\n"
        + f"  client_max_body_size {MAX_BODY_MB}m;\n"
        + "  variables_hash_max_size 4096;\n"
        + f"  upstream backend {{ server 127.0.0.1:{plan.upstream_port}; "
        + "keepalive 256; keepalive_requests 1000000000; }\n"
        + f"  upstream sink {{ server 127.0.0.1:{plan.sink_port}; "
        + "keepalive 64; keepalive_requests 1000000000; }\n"
        + "  server {\n"
        + f"    listen 127.0.0.1:{plan.port}{reuseport} backlog=4096;\n"
        + tuned
        + f"    location /upload/ {{ {pass_to('sink')} }}\n"
        + _locations(plan)
        + "  }\n}\n"
    )


def write(plan: Plan) -> Command:
    config = plan.folder / "nginx.conf"
    config.write_text(render(plan))
    return Command((tools.path_of("nginx"), "-c", str(config), "-e", f"{plan.folder}/error.log"), config)
