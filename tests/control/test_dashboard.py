"""The page is whole, asks for nothing from outside, and has no place where text could become markup."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastgw.control.dashboard import FOLDER, SECURITY, files
from fastgw.errors import Reason

FILES = files()
OWN = {path: content.decode() for path, (content, _) in FILES.items() if "/vendor/" not in path}
SCRIPTS = {path: text for path, text in OWN.items() if path.endswith(".js")}

# As it comes in the package uplot 1.6.32 of the npm registry.
VENDORED = {
    "/assets/vendor/uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "/assets/vendor/uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "/assets/vendor/uPlot.LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}

# Whatever turns text into markup or code.
DANGER = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|\beval\(|"
    r"new Function|srcdoc|javascript:"
)


def test_every_file_of_the_folder_is_served() -> None:
    there = {each.relative_to(FOLDER).as_posix() for each in FOLDER.rglob("*") if each.is_file()}
    served = {path.removeprefix("/assets/") if path != "/" else "index.html" for path in FILES}
    assert served == there
    assert all(content for content, _ in FILES.values())


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/assets/app.js", "text/javascript; charset=utf-8"),
        ("/assets/style.css", "text/css; charset=utf-8"),
        ("/assets/icon.svg", "image/svg+xml"),
        ("/assets/vendor/uPlot.LICENSE", "text/plain; charset=utf-8"),
    ],
)
def test_types(path: str, kind: str) -> None:
    assert FILES[path][1] == kind


def wanted(path: str, text: str) -> Iterator[str]:
    """What a file makes a browser load, as paths of this server."""
    if path == "/":
        yield from re.findall(r'(?:src|href)="(/assets/[^"]*)"', text)
    for name in re.findall(r'^(?:import .*|\}) from "([^"]+)";$', text, re.MULTILINE):
        yield "/assets/" + name.removeprefix("./")


def test_what_the_page_loads_is_there() -> None:
    loaded = {each for path, text in OWN.items() for each in wanted(path, text)}
    assert loaded <= set(FILES)
    # And nothing lies there for nobody.
    assert set(FILES) - loaded == {"/", "/assets/vendor/uPlot.LICENSE"}


def test_nothing_comes_from_outside() -> None:
    for path, text in OWN.items():
        outside = re.findall(r"""(?:src=|href=|url\(|import\b|from |fetch\()\W{0,2}(?:https?:)?//""", text)
        assert not outside, path
        assert "@import" not in text, path


def test_the_policy_of_the_page_allows_its_own_files_only() -> None:
    rules = dict(each.strip().split(" ", 1) for each in SECURITY["Content-Security-Policy"].split(";"))
    assert rules["default-src"] == "'self'"
    assert rules["frame-ancestors"] == "'none'"
    assert "unsafe" not in SECURITY["Content-Security-Policy"]


def test_no_script_and_no_style_within_the_page() -> None:
    page = OWN["/"]
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", page)


def test_nothing_turns_text_into_markup() -> None:
    for path, text in SCRIPTS.items():
        assert not DANGER.search(text), path


@pytest.mark.parametrize(
    "line", ["node.innerHTML = path;", "eval(text)", 'a.href = "javascript:x"', "new Function(t)"]
)
def test_danger_is_seen(line: str) -> None:
    assert DANGER.search(line)


def test_every_reason_is_explained() -> None:
    explained = dict(re.findall(r'^  (\w+):\s+"(.+)",$', OWN["/assets/reasons.js"], re.MULTILINE))
    assert set(explained) == {reason.value for reason in Reason}
    assert all(text.endswith(".") for text in explained.values())


@pytest.mark.parametrize(("path", "digest"), VENDORED.items())
def test_vendored_files_are_as_they_were_published(path: str, digest: str) -> None:
    assert hashlib.sha256(FILES[path][0]).hexdigest() == digest


def test_one_file_one_concept() -> None:
    for path, text in OWN.items():
        assert text.count("\n") <= 400, path
        assert max(map(len, text.splitlines())) <= 122, path


def test_the_files_are_part_of_the_wheel() -> None:
    """hatch takes every file of the package that git does not ignore."""
    root = Path(__file__).resolve().parent.parent.parent
    project = tomllib.loads((root / "pyproject.toml").read_text())
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"] == {"packages": ["fastgw"]}
    assert FOLDER.is_relative_to(root / "fastgw")
    ignored = (root / ".gitignore").read_text().split()
    assert not [each for each in ignored if each.strip("/") in {"vendor", "*.js", "*.css", "dashboard_files"}]


def colours(style: str, selector: str) -> dict[str, str]:
    block = style[style.index(selector) :]
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6}|rgb\([^)]*\));", block[: block.index("}")]))


LIGHT = colours(OWN["/assets/style.css"], ":root {")
DARK = colours(OWN["/assets/style.css"], ':root[data-theme="dark"] {')


def test_dark_is_the_same_whoever_chose_it() -> None:
    assert colours(OWN["/assets/style.css"], ':root:not([data-theme="light"]) {') == DARK
    assert set(DARK) == set(LIGHT)


def contrast(one: str, other: str) -> float:
    """WCAG 2: from 1 to 21."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (
            part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("words", "ground"),
    [
        *((words, ground) for words in ("text", "muted", "accent") for ground in ("bg", "panel", "raised")),
        *((words, "panel") for words in ("good", "warn", "bad")),
        *((tone, f"{tone}-soft") for tone in ("good", "warn", "bad")),
        ("accent-text", "accent"),
        ("panel", "bad"),  # a button that does harm
        ("text", "bad-soft"),
    ],
)
def test_words_can_be_read(theme: dict[str, str], words: str, ground: str) -> None:
    assert contrast(theme[words], theme[ground]) >= 4.5


def test_contrast_is_what_it_should_be() -> None:
    assert round(contrast("#000000", "#ffffff")) == 21
    assert contrast("#767676", "#ffffff") >= 4.5 > contrast("#777777", "#ffffff")


def test_the_pictures_of_the_readme_are_there_and_small() -> None:
    root = Path(__file__).resolve().parent.parent.parent
    pictures = re.findall(r'(?:src|srcset)="([^"]+\.png)"', (root / "README.md").read_text())
    assert pictures == ["deploy/pictures/dashboard-dark.png", "deploy/pictures/dashboard-light.png"]
    for each in pictures:
        content = (root / each).read_bytes()
        assert content.startswith(b"\x89PNG\r\n\x1a\n")
        assert len(content) < 300_000
