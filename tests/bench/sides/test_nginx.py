from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from bench import tools
from bench.sides import nginx
from bench.sides.side import Plan, Policies


def test_plain_keepalive_pass_with_its_log(plan: Plan) -> None:
    text = nginx.render(plan)
    assert f"access_log {plan.access_log} combined;" in text
    assert 'proxy_http_version 1.1; proxy_set_header Connection ""' in text
    assert "keepalive 256; keepalive_requests 1000000000" in text
    assert "worker_processes 1;" in text
    assert "reuseport" not in text
    assert "proxy_buffers" not in text  # its defaults are what the bodies case compares with


def test_two_workers_share_by_reuseport(plan: Plan) -> None:
    text = nginx.render(replace(plan, workers=2))
    assert "worker_processes 2;" in text
    assert "listen 127.0.0.1:4001 reuseport" in text


def test_tuned_buffers_and_routes(plan: Plan) -> None:
    assert "proxy_request_buffering off" in nginx.render(replace(plan, tuned=True))
    text = nginx.render(replace(plan, routes=4))
    assert text.count("http://backend") == 4
    assert "location = /service-3/status" in text
    assert "location /service-2/ " in text


def test_refuses_by_address_and_writes_no_second_log(plan: Plan) -> None:
    text = nginx.render(replace(plan, policies=Policies(address=7)))
    assert "zone=address:1m rate=7r/s;" in text
    assert "limit_req_status 429; limit_req_log_level info; limit_req zone=address burst=7 nodelay;" in text
    assert "limit_req" not in nginx.render(replace(plan, policies=Policies(jwt=True)))


@pytest.mark.skipif(tools.find("nginx") is None, reason="nginx is not installed")
@pytest.mark.parametrize("routes", [0, 50])
def test_nginx_accepts_it(plan: Plan, routes: int) -> None:
    policies = Policies(address=10) if routes else None
    command = nginx.write(replace(plan, routes=routes, workers=2, tuned=True, policies=policies))
    done = subprocess.run([*command.argv, "-t"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
