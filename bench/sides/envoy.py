"""Envoy as a side: router, one event loop per worker, an access log to a file: its default text, JSON with policies."""

from __future__ import annotations

import json

from bench import tools
from bench.load import traffic
from bench.sides import envoy_filters
from bench.sides.envoy_filters import TYPE
from bench.sides.side import Command, Plan


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _cluster(name: str, port: int) -> dict[str, object]:
    endpoint = {"endpoint": {"address": _address(port)}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _routes(plan: Plan) -> list[dict[str, object]]:
    # Envoy's route time-out of 15 s covers whole bodies: off, as the other sides have none.
    to_backend = {"cluster": "backend", "timeout": "0s"}
    routes: list[dict[str, object]] = [
        {"match": {"prefix": "/upload/"}, "route": {"cluster": "sink", "timeout": "0s"}}
    ]
    if not plan.routes:
        return [*routes, {"match": {"prefix": "/"}, "route": to_backend}]
    for index in range(plan.routes):
        exact, path = traffic.route_of(index)
        routes.append({"match": {"path" if exact else "prefix": path}, "route": to_backend})
    return routes


def render(plan: Plan) -> str:
    router: dict[str, object] = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{TYPE}.filters.http.router.v3.Router"},
    }
    filters = [router]
    log_config: dict[str, object] = {
        "@type": f"{TYPE}.access_loggers.file.v3.FileAccessLog",
        "path": str(plan.access_log),
    }
    if plan.policies is not None:
        filters = [*envoy_filters.render(plan.policies), router]
        log_config["log_format"] = {"json_format": envoy_filters.LOG_FIELDS}
    connection_manager = {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "front",
            "codec_type": "HTTP1",
            "access_log": [{"name": "envoy.access_loggers.file", "typed_config": log_config}],
            "http_filters": filters,
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": _routes(plan)}]},
        },
    }
    listener = {
        "name": "front",
        "address": _address(plan.port),
        "enable_reuse_port": True,
        "filter_chains": [{"filters": [connection_manager]}],
    }
    clusters = [_cluster("backend", plan.upstream_port), _cluster("sink", plan.sink_port)]
    return json.dumps({"static_resources": {"listeners": [listener], "clusters": clusters}}, indent=1)


def write(plan: Plan) -> Command:
    config = plan.folder / "envoy.json"
    config.write_text(render(plan))
    argv = (
        *(tools.path_of("envoy"), "-c", str(config)),
        *("--concurrency", str(plan.workers), "--disable-hot-restart", "--log-level", "warning"),
        *("--drain-time-s", "1", "--parent-shutdown-time-s", "2"),
    )
    return Command(argv, config)
