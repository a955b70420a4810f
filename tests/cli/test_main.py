from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from fastgw.cli.main import VERBS, main


def test_help_names_every_verb_and_teaches() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for verb, line in VERBS.items():
        assert verb in result.output
        assert line.split()[0] in result.output
    assert "fastgw demo" in result.output
    assert "listeners:" in result.output


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    result = CliRunner().invoke(main, [verb, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output
    command = main.get_command(None, verb)  # type: ignore[arg-type, attr-defined]  # the context is not looked at
    assert command.name == verb


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["chekc"], 'there is no verb "chekc"; did you mean "check"?'),
        (["zzz"], "there is: run, check"),
        (["--nope"], "No such option"),
        (["check", "--nope"], "No such option"),
        (["version", "extra"], "unexpected extra argument"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(arguments: list[str], hint: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert hint in result.output


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from click.testing import CliRunner; from fastgw.cli.main import main\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0\n"
        "assert CliRunner().invoke(main, ['check', '--help']).exit_code == 0\n"
        "print([name for name in ('pydantic', 'aiohttp', 'redis', 'uvloop', 'yaml', 'orjson') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_python_m_fastgw() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "fastgw", "nope"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "Usage: fastgw" in result.stderr
