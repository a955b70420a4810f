from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.cases import reload
from bench.errors import BenchError


def test_longest_since_the_reload(tmp_path: Path) -> None:
    rows = [[1.0, 0.9, "before"], [2.0, 0.002, "slice"], [3.0, 0.004, "swap"]]
    (tmp_path / "7.json").write_text(json.dumps({"long": rows}))
    assert reload.longest_ms(tmp_path, 7, 1.5) == (4.0, "swap")
    assert reload.longest_ms(tmp_path, 7, 9.0) == (0.0, "none")


def test_a_worker_that_was_not_counted_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="counted nothing"):
        reload.longest_ms(tmp_path, 7, 0.0)
