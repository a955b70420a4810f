from __future__ import annotations

from pathlib import Path

import pytest

from bench.sides.side import Plan


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(tmp_path, port=4001, admin_port=4002, upstream_port=4003, sink_port=4004)
