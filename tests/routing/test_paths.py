"""Path patterns: what may be written, what each matches, and which comes first."""

from __future__ import annotations

import pytest

from fastgw.routing.errors import PatternError
from fastgw.routing.paths import PathKind, PathTable, parse_path


def found(patterns: list[str], path: bytes) -> str | None:
    return table(patterns).find(b"GET", path, {})


def table(patterns: list[str]) -> PathTable[str]:
    made: PathTable[str] = PathTable()
    for pattern in patterns:
        made.leaf(parse_path(pattern)).add((), (), pattern)
    return made


@pytest.mark.parametrize(
    ("text", "kind", "segments"),
    [
        ("/", PathKind.EXACT, (b"",)),
        ("/a", PathKind.EXACT, (b"a",)),
        ("/a/", PathKind.EXACT, (b"a", b"")),
        ("/a//b", PathKind.EXACT, (b"a", b"", b"b")),
        ("/a/./b", PathKind.EXACT, (b"a", b"b")),
        ("/%61%2fb", PathKind.EXACT, (b"a%2Fb",)),
        ("/caf\u00e9", PathKind.EXACT, (b"caf%C3%A9",)),
        ("/a%2Ab", PathKind.EXACT, (b"a%2Ab",)),
        ("/%7Bid%7D", PathKind.EXACT, (b"%7Bid%7D",)),
        ("/*", PathKind.PREFIX, ()),
        ("/a/*", PathKind.PREFIX, (b"a",)),
        ("/a//*", PathKind.PREFIX, (b"a", b"")),
        ("/{id}", PathKind.PARAMETERS, (None,)),
        ("/a/{id}/b/{_x9}", PathKind.PARAMETERS, (b"a", None, b"b", None)),
        ("/a/{id}/", PathKind.PARAMETERS, (b"a", None, b"")),
        ("/a/{id}/*", PathKind.PREFIX, (b"a", None)),
    ],
)
def test_accepts(text: str, kind: PathKind, segments: tuple[bytes | None, ...]) -> None:
    pattern = parse_path(text)
    assert (pattern.kind, pattern.segments) == (kind, segments)


@pytest.mark.parametrize(
    "text",
    ["", "a", "*", "a/*", "/a?b", "/a#b", "/a b", "/a\\b", "/a\n", "/a\x00", "/..", "/a/../..", "/a/%2e%2e/b", "/a/..;/b",
     "/a%", "/a%00", "/a*", "/*a", "/a/*/b", "/**", "/*/", "/{", "/}", "/{}", "/{a", "/a}", "/a{b}", "/{a}b", "/{a}{b}",
     "/{1a}", "/{a-b}", "/{a b}", "/{a}/{a}", "/{*}"],
)  # fmt: skip
def test_refuses(text: str) -> None:
    with pytest.raises(PatternError):
        parse_path(text)


def test_names_of_parameters_mean_nothing() -> None:
    assert parse_path("/a/{x}") == parse_path("/a/{y}")


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("/", [b"/"], [b"//", b"/a"]),
        ("/a", [b"/a"], [b"/", b"/a/", b"/ab", b"/A", b"//a", b"/a/b"]),
        ("/a/", [b"/a/"], [b"/a", b"/a//"]),
        ("/a//b", [b"/a//b"], [b"/a/b", b"/a///b"]),
        ("/*", [b"/", b"/a", b"//", b"/a/b/c/d/e/f"], [b"*"]),
        ("/a/*", [b"/a", b"/a/", b"/a/b", b"/a//", b"/a/b/c/d"], [b"/", b"/ab", b"/b/a", b"//a", b"/A/b"]),
        ("/a/b/*", [b"/a/b", b"/a/b/", b"/a/b/c"], [b"/a", b"/a/", b"/a/bc", b"/a//b"]),
        ("/a//*", [b"/a/", b"/a//", b"/a//b"], [b"/a", b"/a/b"]),
        ("/a/{x}", [b"/a/b", b"/a/%2F"], [b"/a", b"/a/", b"/a/b/", b"/a/b/c", b"/a//"]),
        ("/{x}/b", [b"/a/b", b"/b/b"], [b"//b", b"/b", b"/a/b/c", b"/a/c"]),
        ("/a/{x}/", [b"/a/b/"], [b"/a/b", b"/a//"]),
        ("/a/{x}/*", [b"/a/b", b"/a/b/", b"/a/b/c/d"], [b"/a", b"/a/", b"/a//", b"/a//b"]),
        ("/{x}/{y}", [b"/a/b"], [b"/a", b"/a/", b"//b", b"/a/b/c"]),
    ],
)
def test_what_a_pattern_matches(pattern: str, matching: list[bytes], others: list[bytes]) -> None:
    # Alone, and beside patterns that lead the walk astray.
    for beside in ([], ["/a/zz/{q}/deep/deeper", "/zz/{q}/*"], ["/{p}/zz/{q}/zz", "/a/zz/*"]):
        for path in matching:
            assert found([*beside, pattern], path) == pattern, path
        for path in others:
            assert found([*beside, pattern], path) is None, path


@pytest.mark.parametrize(
    ("path", "patterns"),
    [
        (b"/a/b", ["/a/b", "/a/{x}", "/{x}/b", "/{x}/{y}",
                   "/a/b/*", "/a/{x}/*", "/{x}/b/*", "/{x}/{y}/*", "/a/*", "/{x}/*", "/*"]),
        (b"/a/b/c", ["/a/b/c", "/a/b/{x}", "/a/{x}/c", "/a/{x}/{y}", "/{x}/b/c", "/a/b/*", "/a/*", "/*"]),
        (b"/", ["/", "/*"]),
        (b"/a", ["/a", "/{x}", "/a/*", "/{x}/*", "/*"]),
        (b"/a/", ["/a/", "/{x}/", "/a/*", "/{x}/*", "/*"]),
    ],
)  # fmt: skip
def test_precedence(path: bytes, patterns: list[str]) -> None:
    """Whatever the order of the file, each pattern wins once those in front of it are gone."""
    assert sorted(patterns, key=lambda text: parse_path(text).rank()) == patterns
    for first in range(len(patterns)):
        left = patterns[first:]
        assert found(left, path) == patterns[first]
        assert found(left[::-1], path) == patterns[first]
        assert len(table(left).leaves(path)) == len(left)


def test_a_pattern_that_does_not_take_the_method_is_skipped() -> None:
    made: PathTable[str] = PathTable()
    for pattern, method in (
        ("/a/b", b"PUT"),
        ("/a/{x}", b"POST"),
        ("/{x}/b", b"PATCH"),
        ("/a/*", b"DELETE"),
        ("/*", b"GET"),
    ):
        made.leaf(parse_path(pattern)).add([method], (), pattern)
    assert made.find(b"PUT", b"/a/b", {}) == "/a/b"
    assert made.find(b"POST", b"/a/b", {}) == "/a/{x}"
    assert made.find(b"PATCH", b"/a/b", {}) == "/{x}/b"
    assert made.find(b"DELETE", b"/a/b", {}) == "/a/*"
    assert made.find(b"GET", b"/a/b", {}) == "/*"
    assert made.find(b"OPTIONS", b"/a/b", {}) is None


def test_a_path_of_slashes_is_cut_at_the_deepest_pattern() -> None:
    made = table(["/a/{x}", "/*"])
    path = b"/" * 8000
    assert made.find(b"GET", path, {}) == "/*"
    assert made.find(b"GET", b"/a/b" + path, {}) == "/*"


def test_released_matches_nothing() -> None:
    made = table(
        [
            "/a",
            "/b/*",
            "/{x}/c",
            *(f"/n{number}" for number in range(300)),
            *(f"/m{number}/*" for number in range(300)),
        ]
    )
    steps = len(list(made.release()))
    assert steps >= 600 // 64
    assert made.leaves(b"/a") == made.leaves(b"/b/x") == made.leaves(b"/n7") == made.leaves(b"/m7/x") == []
