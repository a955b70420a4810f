"""`fastgw demo`: what it prints works, and nothing stays behind."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fastgw.cli.demo_upstream import _caller
from tests.cli.test_run import free_port, get, start

__all__ = ["start"]  # the fixture


class Answer:
    def __init__(
        self, port: int, path: str, method: str = "GET", data: bytes | None = None, **fields: str
    ) -> None:
        url = f"http://127.0.0.1:{port}{path}"
        named = {k.replace("_", "-"): v for k, v in fields.items()}
        asked = urllib.request.Request(url, method=method, data=data, headers=named)
        try:
            with urllib.request.urlopen(asked, timeout=5) as answer:
                self.status, self.headers, self.text = answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                self.status, self.headers, self.text = error.code, error.headers, error.read().decode()

    @property
    def reason(self) -> str:
        return str(json.loads(self.text)["reason"])


def faults_port(guide: str) -> int:
    return int(re.search(r":(\d+)/_fault", guide)[1])


def test_what_it_prints_works_and_nothing_stays_behind(start):
    port, admin = free_port(), free_port()
    demo = start("demo", "--port", str(port), "--admin-port", str(admin), "--workers", "1")
    demo.hears("admin on")
    guide = demo.output.read_text()
    faults = faults_port(guide)
    asked = re.findall(r"http://127\.0\.0\.1:(\d+)/", guide)
    assert len(asked) > 15
    assert {int(each) for each in asked} == {port, admin, faults}
    assert get(port, "/hello/world") == (200, "hello from the upstream: GET /world, 0 bytes of body\n")
    assert get(port, "/slow")[0] == 504
    assert get(port, "/old/page") == (410, '{"gone": true}')
    assert get(port, "/nowhere")[0] == 404
    assert get(admin, "/api/status")[0] == 200
    assert get(admin, "/metrics")[0] == 200
    config = Path(re.search(r"Configuration: (\S+)", guide)[1])
    assert config.exists()
    os.killpg(demo.process.pid, signal.SIGINT)
    assert demo.process.wait(5) == 0
    assert not config.parent.exists()
    assert demo.left() == []


def test_who_may_call_and_how_much_as_it_prints(start):
    port, admin = free_port(), free_port()
    demo = start("demo", "--port", str(port), "--admin-port", str(admin), "--workers", "2")
    demo.hears("admin on")
    guide = demo.output.read_text()
    key = re.search(r"X-API-Key: ([^']+)'", guide)[1]
    token = "Bearer " + re.search(r"TOKEN=(\S+)", guide)[1]
    missing = Answer(port, "/orders/7")
    assert (missing.status, missing.reason) == (401, "missing_credentials")
    assert missing.headers["www-authenticate"].startswith("Bearer")
    assert Answer(port, "/orders/7", X_API_Key=key).text.endswith("for mobile-app\n")
    # A client cannot name itself.
    assert Answer(port, "/hello/x", X_Consumer="mobile-app").text.endswith("bytes of body\n")
    tampered = Answer(port, "/orders/7", Authorization=token + "x")
    assert (tampered.status, tampered.reason) == (401, "invalid_credentials")
    answers = [Answer(port, "/orders/7", Authorization=token) for _ in range(8)]
    assert answers[0].text.endswith("for dev:you\n")
    assert "ratelimit" in answers[0].headers
    # One bucket for both workers: 5 at once, and one more should the eight take a second.
    assert 5 <= [answer.status for answer in answers].count(200) <= 6
    assert (answers[-1].status, answers[-1].reason) == (429, "rate_limited")
    assert int(answers[-1].headers["retry-after"]) >= 1
    inside = Answer(port, "/inside/x")
    assert (inside.status, inside.reason) == (403, "ip_denied")
    mint = re.search(r"\$\(([^)]+ token [^)]+)\)", guide)[1]
    poor = subprocess.run(mint, shell=True, check=True, capture_output=True, text=True).stdout.strip()
    refused = Answer(port, "/orders/7", Authorization=f"Bearer {poor}")
    assert (refused.status, refused.reason) == (403, "insufficient_scope")
    # A stalled machine may have made a worker decide by itself for a moment: it asks again within a second.
    until = time.monotonic() + 5.0
    redis = json.loads(Answer(admin, "/api/status").text)["redis"]
    while redis["modes"] != ["redis", "redis"] and time.monotonic() < until:
        redis = json.loads(Answer(admin, "/api/status").text)["redis"]
    assert (redis["state"], redis["modes"]) == ("up", ["redis", "redis"])
    assert redis["embedded"]["pid"] > 0
    # Neither of them in what others may see.
    shown = Answer(admin, "/api/config").text
    assert key not in shown
    assert hashlib.sha256(key.encode()).hexdigest() not in shown
    assert demo.process.poll() is None
    os.killpg(demo.process.pid, signal.SIGINT)
    assert demo.process.wait(5) == 0
    assert demo.left() == []


def test_a_preflight_as_it_prints(start):
    port, admin = free_port(), free_port()
    demo = start("demo", "--port", str(port), "--admin-port", str(admin), "--workers", "1")
    demo.hears("admin on")
    asked = {"Origin": "https://shop.example.com", "Access_Control_Request_Method": "GET"}
    preflight = Answer(port, "/orders/7", "OPTIONS", **asked)
    assert preflight.status == 204
    assert preflight.headers["access-control-allow-origin"] == "https://shop.example.com"


@pytest.mark.parametrize(
    ("head", "caller"),
    [
        (b"GET / HTTP/1.1\r\nX-Consumer: dev:you\r\n\r\n", ", for dev:you"),
        (b"GET / HTTP/1.1\r\nX-Consumer-Scopes: a b\r\n\r\n", ""),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", ""),
    ],
)
def test_the_upstream_says_for_whom(head, caller):
    assert _caller(head) == caller


def test_targets_fail_and_recover_as_it_prints(start):
    port, admin = free_port(), free_port()
    demo = start("demo", "--port", str(port), "--admin-port", str(admin), "--workers", "1")
    demo.hears("admin on")
    guide = demo.output.read_text()
    faults = faults_port(guide)

    def shop(**fields: str) -> Answer:
        return Answer(port, "/shop/x", **fields)

    def told(name: str, order: str) -> None:
        assert f"-d '{order}' http://127.0.0.1:{faults}/_fault/{name}\n" in guide
        assert Answer(faults, f"/_fault/{name}", "PUT", order.encode()).status == 200

    assert {json.loads(shop(X_Tester="yes").text)["target"] for _ in range(20)} == {"next"}
    told("one", '{"mode": "refuse", "for": 60}')
    assert {shop().status for _ in range(40)} == {200}
    shown = Answer(admin, "/api/upstreams")
    assert (shown.status, "shop-next" in shown.text) == (200, True)
    told("one", '{"mode": "stall", "checks": false}')
    told("two", '{"mode": "stall", "checks": false}')
    with ThreadPoolExecutor(8) as pool:
        # 504 after a second each, or 200 of the next version.
        list(pool.map(lambda _: shop(), range(16)))
    answers = [shop() for _ in range(8)]
    refused = [answer for answer in answers if answer.status != 200]
    assert {(answer.status, answer.reason) for answer in refused} == {(503, "breaker_open")}
    assert {answer.headers["retry-after"] for answer in refused} <= {"1", "2", "3", "4"}
    assert Answer(faults, "/_fault", "DELETE").status == 200
    # A probe needs a request: the first one after its time.
    until = time.monotonic() + 8
    while any(shop().status != 200 for _ in range(10)):
        assert time.monotonic() < until, demo.said()

    def breaker(order: str) -> None:
        assert order in guide
        path = "/api/upstreams/shop/breaker"
        told = Answer(admin, path, "POST", order.encode(), Content_Type="application/json")
        assert told.status in (200, 202), told.text

    # The next version is not the shop's circuit: the split goes on sending it a few.
    breaker('{"state": "open", "for": "30s"}')
    demo.hears("worker 0: upstream shop: circuit open: forced")
    answers = [shop() for _ in range(8)]
    assert {answer.reason for answer in answers if answer.status != 200} == {"breaker_open"}
    breaker('{"state": "auto"}')
    os.killpg(demo.process.pid, signal.SIGINT)
    assert demo.process.wait(5) == 0
