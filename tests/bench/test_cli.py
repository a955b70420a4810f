from __future__ import annotations

from pathlib import Path

import pytest

from bench import cli
from bench.errors import BenchError


def test_quick_means_few_and_short() -> None:
    options = cli.parser().parse_args(["--quick"])
    setting = cli.setting_of(options, ["nginx", "envoy"], Path("/nowhere"))
    assert (setting.rounds, setting.seconds, setting.sides) == (2, 1.0, ("nginx", "fastgw", "envoy"))


def test_nginx_is_always_the_base() -> None:
    options = cli.parser().parse_args(["--without-fastgw"])
    assert cli.setting_of(options, ["haproxy"], Path("/nowhere")).sides == ("nginx", "haproxy")


@pytest.mark.parametrize("argv", [["--rounds", "0"], ["--seconds", "0.1"]])
def test_no_rounds_are_refused(argv: list[str]) -> None:
    with pytest.raises(BenchError, match="at least 1"):
        cli.setting_of(cli.parser().parse_args(argv), [], Path("/nowhere"))


@pytest.mark.parametrize("argv", [["--cases", "plain,plane"], ["--peers", "apache"]])
def test_unknown_names_are_named(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(argv) == 2
    assert "unknown" in capsys.readouterr().out


def test_only_needed_tools_are_asked_for() -> None:
    assert "h2load" not in cli.needed_tools(["plain"], ["nginx"], None)
    assert {"h2load", "envoy"} <= set(cli.needed_tools(["latency"], ["envoy"], None))
    assert "valkey-server" not in cli.needed_tools(["plain"], ["nginx"], None)
    assert "valkey-server" in cli.needed_tools(["plain", "chain"], ["nginx"], None)
    assert "strace" in cli.needed_tools(["plain"], ["nginx"], "plain")
    assert "valkey-server" in cli.needed_tools([], ["nginx"], "chain")


def test_profile_is_of_plain_requests_unless_said() -> None:
    assert cli.parser().parse_args(["--profile"]).profile == "plain"
    assert cli.parser().parse_args(["--profile", "chain"]).profile == "chain"
    assert cli.parser().parse_args([]).profile is None


def test_configurations_are_kept(tmp_path: Path) -> None:
    (tmp_path / "work/plain/nginx").mkdir(parents=True)
    (tmp_path / "work/plain/nginx/nginx.conf").write_text("x")
    (tmp_path / "work/plain/nginx/access.log").write_text("y")
    kept = cli.keep_configurations(tmp_path / "work", tmp_path / "kept")
    assert [file.name for file in kept] == ["plain-nginx-nginx.conf"]
