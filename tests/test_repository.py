"""What stands in two places stands there alike: versions, pins, the make targets, the README's example."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest

from fastgw import __version__
from fastgw.cli.main import VERBS
from fastgw.gateway.document.load import load_file
from fastgw.supervisor.exits import Exit

ROOT = Path(__file__).resolve().parent.parent
TARGETS = ("run", "test", "lint", "bench", "k6", "fuzz", "clean")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def versions(package: str, project: str, changelog: str) -> set[str]:
    """Of the package, of the project file, and the newest one in the changelog."""
    stated: str = tomllib.loads(project)["project"]["version"]
    newest = re.search(r"^## (\S+)", changelog, re.MULTILINE)
    return {package, stated, newest[1] if newest else "none"}


def test_one_version() -> None:
    assert versions(__version__, text("pyproject.toml"), text("CHANGELOG.md")) == {__version__}


@pytest.mark.parametrize(
    ("package", "project", "changelog"),
    [
        ("1.1", '[project]\nversion = "1.0"', "# Changelog\n\n## 1.0\n"),
        ("1.0", '[project]\nversion = "1.1"', "# Changelog\n\n## 1.0\n"),
        ("1.0", '[project]\nversion = "1.0"', "# Changelog\n\n## 1.1\n\n## 1.0\n"),
        ("1.0", '[project]\nversion = "1.0"', "# Changelog\n"),
    ],
)
def test_two_versions_are_seen(package: str, project: str, changelog: str) -> None:
    assert versions(package, project, changelog) != {package}


def unpinned(project: str, pins: str) -> set[str]:
    """What the project may install without a pin."""
    found = tomllib.loads(project)
    wanted = [*found["project"]["dependencies"], *found["build-system"]["requires"]]
    for extra in found["project"]["optional-dependencies"].values():
        wanted += extra
    pinned = set(re.findall(r"^([a-z0-9.-]+)==", pins, re.MULTILINE))
    return {name for line in wanted if (name := re.split(r"[^A-Za-z0-9.-]", line)[0].lower()) not in pinned}


def test_everything_is_pinned() -> None:
    assert unpinned(text("pyproject.toml"), text(".ci/constraints.txt")) == set()


def test_a_missing_pin_is_seen() -> None:
    pins = re.sub(r"(?m)^uvloop==.*\n", "", text(".ci/constraints.txt"))
    assert unpinned(text("pyproject.toml"), pins) == {"uvloop"}


@pytest.mark.parametrize("name", [".ci/constraints.txt", ".ci/run", "Makefile", "pyproject.toml"])
def test_packages_come_from_wherever_the_machine_says(name: str) -> None:
    assert not re.search(r"https?://|--(extra-)?index|find-links", text(name))


def test_the_proof_can_be_started() -> None:
    assert os.access(ROOT / ".ci/run", os.X_OK)
    assert re.findall(r"^make (\w+)", text(".ci/run"), re.MULTILINE) == ["lint", "test"]


def test_the_readme_names_what_there_is() -> None:
    readme, makefile = text("README.md"), text("Makefile")
    for target in TARGETS:
        assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE), target
    for target in re.findall(r"`?make (\w+)", readme):
        assert target in (*TARGETS, "help"), target
    for verb in VERBS:
        assert f"`{verb}`" in readme, verb
    for code in Exit:
        assert f"| {code.value} |" in readme, code


def test_the_example_of_the_readme_is_a_right_configuration(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", text("README.md"), re.DOTALL)
    assert example is not None
    file = tmp_path / "gateway.yaml"
    file.write_text(example[1], encoding="utf-8")
    assert list(load_file(file, {}).routes) == ["orders", "old"]


def test_the_license_is_whole() -> None:
    assert re.match(r"\s*Apache License\s+Version 2\.0", text("LICENSE"))
    assert "END OF TERMS AND CONDITIONS" in text("LICENSE")
