from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from bench import tools
from bench.sides import faulty
from bench.sides.faulty import Behind
from bench.sides.side import Plan
from bench.sides.table import BASE, OURS
from fastgw.gateway.document.load import load_file

BEHIND = Behind(("127.0.0.1:4101", "127.0.0.1:4102"))


@pytest.mark.parametrize(
    "behind",
    [
        BEHIND,
        replace(BEHIND, breaker="", slow_start=""),
        replace(BEHIND, attempts=1),
        replace(BEHIND, breaker=faulty.FOR_GOOD, health=faulty.HEALTH),
        Behind(("127.0.0.1:4101",)),
    ],
    ids=["whole", "bare", "one attempt", "health", "one target"],
)
def test_the_gateway_accepts_it(plan: Plan, behind: Behind) -> None:
    command = faulty.writer(OURS, behind)(plan)
    document = load_file(command.config, {})
    assert list(document.routes) == ["faulty", "upload", "all"]
    upstream = document.upstreams["faulty"]
    assert len(upstream.targets) == len(behind.targets)
    assert (upstream.breaker is None) == (behind.breaker == "")
    assert (upstream.retries is None) == (behind.attempts == 1)
    assert (upstream.health is None) == (behind.health == "")
    assert set(document.upstreams) == {"faulty", "backend", "sink"}


def test_nginx_has_as_many_attempts_and_as_much_patience(plan: Plan) -> None:
    text = faulty.writer(BASE, replace(BEHIND, attempts=3, nginx_open_seconds=9))(plan).config.read_text()
    assert "server 127.0.0.1:4102 max_fails=5 fail_timeout=9s;" in text
    assert "proxy_next_upstream_tries 3;" in text
    assert text.count("proxy_next_upstream ") == 1
    assert text.index("location /faulty/") < text.index("location /upload/")


def test_without_a_breaker_nginx_rests_no_target(plan: Plan) -> None:
    text = faulty.writer(BASE, replace(BEHIND, breaker=""))(plan).config.read_text()
    assert text.count("max_fails=0 ") == len(BEHIND.targets)


@pytest.mark.skipif(tools.find("nginx") is None, reason="nginx is not installed")
def test_nginx_accepts_it(plan: Plan) -> None:
    command = faulty.writer(BASE, BEHIND)(plan)
    checked = subprocess.run([*command.argv, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_a_mark_that_is_not_there_once_is_an_error() -> None:
    for text in ("none", "here here"):
        with pytest.raises(ValueError, match="times in the plain"):
            faulty._spliced(text, [("here", "", "")])
