from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from fastgw.versions.apart import apart
from fastgw.versions.version import StoreAway, StoreError

IMPORTED = "a.module.that.nobody.else.imports"


def test_its_result_comes_back_and_nothing_else() -> None:
    def work() -> tuple[int, str]:
        sys.modules[IMPORTED] = sys
        return os.getpid(), "colorsys" * 200_000

    pid, text = apart(work)
    assert pid != os.getpid()
    assert len(text) == 8 * 200_000
    assert IMPORTED not in sys.modules
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_store_that_cannot_be_used() -> None:
    def work() -> None:
        raise StoreAway("nobody there")

    with pytest.raises(StoreAway, match=r"^nobody there$"):
        apart(work)

    def damaged() -> None:
        raise StoreError("damaged")

    with pytest.raises(StoreError) as caught:
        apart(damaged)
    assert not isinstance(caught.value, StoreAway)


def test_a_defect_is_a_defect(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise ZeroDivisionError("ours")

    with pytest.raises(RuntimeError, match="has died"):
        apart(work)
    assert "ZeroDivisionError: ours" in capfd.readouterr().err


def test_what_does_not_end_is_ended(tmp_path: Path) -> None:
    def work() -> None:
        (tmp_path / "pid").write_text(str(os.getpid()))
        threading.Event().wait(30)

    with pytest.raises(StoreAway, match=r"has not answered in 0\.3 s"):
        apart(work, 0.3)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_nothing_is_left_open() -> None:
    before = os.listdir("/proc/self/fd")
    apart(lambda: None)
    assert os.listdir("/proc/self/fd") == before
