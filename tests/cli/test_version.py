from __future__ import annotations

import platform

from click.testing import CliRunner

from fastgw import __version__
from fastgw.cli.version import command


def test_version() -> None:
    assert CliRunner().invoke(command).output == f"fastgw {__version__}\n"


def test_verbose() -> None:
    output = CliRunner().invoke(command, ["--verbose"]).output
    assert f"CPython {platform.python_version()}" in output
    assert "uvloop" in output
