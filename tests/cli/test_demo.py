"""`fastgw demo`: what it prints works, and nothing stays behind."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from tests.cli.test_run import free_port, get, start

__all__ = ["start"]  # the fixture


def test_what_it_prints_works_and_nothing_stays_behind(start):
    port, admin = free_port(), free_port()
    demo = start("demo", "--port", str(port), "--admin-port", str(admin), "--workers", "1")
    demo.hears("admin on")
    guide = demo.output.read_text()
    for url in re.findall(r"curl \S+ (http://\S+)", guide):
        path = url.partition(f":{port}")[2] or url.partition(f":{admin}")[2]
        assert path, url
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
