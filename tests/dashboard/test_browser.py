"""Where there is no browser the tests of the page are left out, but never in the proof of a change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dashboard.browser import found


def test_the_browser_is_found_on_the_path(tmp_path: Path) -> None:
    program = tmp_path / "chromium"
    program.touch(mode=0o755)
    assert found({"PATH": str(tmp_path)}) == str(program)


def test_without_one_the_tests_are_left_out(tmp_path: Path) -> None:
    with pytest.raises(pytest.skip.Exception, match="apt-get install chromium"):
        found({"PATH": str(tmp_path)})


def test_without_one_the_proof_fails(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="CI_REQUIRES_BROWSER"):
        found({"PATH": str(tmp_path), "CI_REQUIRES_BROWSER": "1"})


def test_the_proof_asks_for_one() -> None:
    run = Path(__file__).resolve().parents[2] / ".ci" / "run"
    assert "export CI_REQUIRES_BROWSER=1\nmake lint\nmake test\n" in run.read_text()
