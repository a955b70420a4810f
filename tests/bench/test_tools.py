from __future__ import annotations

import sys

import pytest

from bench import tools
from bench.errors import BenchError
from bench.tools import Tool


def test_every_tool_says_how_to_get_it() -> None:
    for tool in tools.TOOLS.values():
        assert tool.install.endswith(tool.package)
    assert Tool("x", "y", True).install.startswith(sys.executable)


def test_what_is_missing_is_named() -> None:
    nowhere = "/nonexistent"
    with pytest.raises(BenchError, match="wrk is missing: apt-get install"):
        tools.path_of("wrk", nowhere)
    assert [tool.name for tool in tools.missing(["wrk"], nowhere)] == ["wrk"]


def test_this_interpreter_is_found_beside_itself() -> None:
    assert tools.find("python3") is not None
