from __future__ import annotations

from typing import Any

import pytest

from fastgw.config.yaml import MAX_DEPTH, MAX_PROBLEMS, Source, parse


def read(text: str | bytes, **environ: str) -> Source:
    return parse(text.encode() if isinstance(text, str) else text, "f.yaml", environ)


def values(text: str, **environ: str) -> Any:
    source = read(text, **environ)
    assert not source.problems
    assert source.whole
    return source.plain


def problems(text: str | bytes, **environ: str) -> list[str]:
    return [str(problem) for problem in read(text, **environ).problems]


def test_values() -> None:
    text = """
a: [1, two, "3", true, null, 1.5, [x], {y: z}]
b:
  c: |
    block
    text
  d: >-
    folded
    text
  "quoted key": 'single'
1: number
e:
"""
    assert values(text) == {
        "a": [1, "two", "3", True, None, 1.5, ["x"], {"y": "z"}],
        "b": {"c": "block\ntext\n", "d": "folded text", "quoted key": "single"},
        "1": "number",
        "e": None,
    }


def test_only_yaml_1_2() -> None:
    assert values("[on, off, yes, no, 22:30, 0o17, 010, 2024-01-01]") == [
        "on", "off", "yes", "no", "22:30", 15, 10, "2024-01-01",
    ]  # fmt: skip


def test_other_roots_are_values_too() -> None:
    assert values("just text") == "just text"
    assert values("- 1\n- 2") == [1, 2]


@pytest.mark.parametrize(
    "text", ["\ufeffa: 1", "a: 1\r\nb: 2\r\n", "%YAML 1.2\n---\na: 1\n...\n", "# c\na: 1 # c\n"]
)
def test_strange_but_legal(text: str) -> None:
    assert values(text)["a"] == 1


def test_utf_16_with_its_mark_is_legal_yaml() -> None:
    assert read("a: ä".encode("utf-16")).plain == {"a": "ä"}


LINES = """\
listeners:
  - address: x

  - {address: y,
     health: z}
routes:
  - name: one
    match:
      hosts: [a,
              b]
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("listeners",), 1),
        (("listeners", 0), 2),
        (("listeners", 1, "address"), 4),
        (("listeners", 1, "health"), 5),
        (("routes", 0, "match", "hosts", 1), 10),
        (("routes", 0, "missing"), 7),
        (("routes", 0, "match", "missing", "deeper"), 8),
        (("listeners", 9), 1),
        (("routes", "x"), 6),
        (("nowhere",), 1),
    ],
)
def test_lines(path: tuple[str | int, ...], line: int) -> None:
    assert read(LINES).line(path) == line


def test_an_entry_that_was_added_later_has_the_line_of_what_it_was_added_to() -> None:
    source = read("\na: 1\n")
    source.plain["b"] = 2
    assert source.line(("b",)) == 1


def test_equal_keys() -> None:
    text = "a: 1\nb: [1, {c: 3,\n c: 4}]\nd: {e: [[{f: 1, f: 2}]]}\na: 2\n"
    assert problems(text) == [
        "f.yaml:3: b[1].c: the key stands there twice (first in line 2); remove one",
        "f.yaml:4: d.e[0][0].f: the key stands there twice (first in line 4); remove one",
        "f.yaml:5: a: the key stands there twice (first in line 1); remove one",
    ]


def test_anchors_aliases_and_tags() -> None:
    text = "a: &x 1\nb: *x\nc: !!str 3\nd: !mine [1]\ne: &y {}\n"
    assert problems(text) == [
        "f.yaml:1: &x is an anchor; aliases are not supported: write the value out",
        "f.yaml:2: b: *x is an alias; write the value out",
        "f.yaml:3: the tag tag:yaml.org,2002:str is not supported; remove it, and quote what is text",
        "f.yaml:4: the tag !mine is not supported; remove it, and quote what is text",
        "f.yaml:5: &y is an anchor; aliases are not supported: write the value out",
    ]


def test_billion_laughs_is_refused_at_once() -> None:
    text = "a: &a [x, x]\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(10))
    assert len(problems(text)) == 31


@pytest.mark.parametrize("text", ["*x : 1", "? [1]\n: 2", "{{a: 1}: 2}", "[{[1]: 2}]"])
def test_keys_that_are_no_text(text: str) -> None:
    source = read("x: &x 1\n" + text if text.startswith("*") else text)
    assert source.problems
    assert not source.whole


def test_a_variable_is_expanded_before_typing_and_a_secret_keeps_its_zeros() -> None:
    text = (
        'a: ${A}\nb: "${A}"\nc: ${NO:-true}\nd: "${NO:-true}"\ne: ${NO:-}\nf: "${NO:-}"\n${A}: 1\ng: $${A}\n'
    )
    assert values(text, A="0123") == {
        "a": "0123", "b": "0123", "c": True, "d": "true", "e": None, "f": "", "${A}": 1, "g": "${A}",
    }  # fmt: skip


def test_what_a_variable_holds_is_no_yaml() -> None:
    assert values("a: ${A}", A="[1, 2]\nb: 3") == {"a": "[1, 2]\nb: 3"}


def test_every_variable_that_is_not_set_is_named() -> None:
    assert problems("a: ${X}\nb: ['${Y}', {c: '${'}]\n") == [
        "f.yaml:1: a: the variable X is not set; set it, or write ${X:-default}",
        "f.yaml:2: b[0]: the variable Y is not set; set it, or write ${Y:-default}",
        "f.yaml:2: b[1].c: ${ is no reference to a variable; write ${VAR} or ${VAR:-default}, or $${ for a literal ${",
    ]


def test_numbers_that_cannot_be_carried() -> None:
    found = problems(f"a: .nan\nb: [{'9' * 5000}]\nc: 1e999")
    assert [line.split(": ")[1] for line in found] == ["a", "b[0]", "c"]


def test_depth_is_bounded() -> None:
    assert values("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))
    deeper = "[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2)
    assert problems(deeper) == [f"f.yaml:1: this is nested deeper than {MAX_DEPTH} levels; flatten it"]
    assert problems("".join("  " * depth + "a:\n" for depth in range(200)))
    for character in "[{":
        assert problems(character * 100_000)


def test_problems_are_bounded() -> None:
    text = "".join(f"k{i}: *x\n" for i in range(MAX_PROBLEMS + 10))
    assert len(problems("x: &x 1\n" + text)) == MAX_PROBLEMS


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "\ufeff"])
def test_nothing(text: str) -> None:
    assert problems(text) == [
        "f.yaml:1: the file is empty; it needs at least listeners, upstreams and routes"
    ]
    assert not read(text).whole


def test_a_second_document() -> None:
    assert problems("a: 1\n---\nb: 2\n") == [
        "f.yaml:2: a second document begins; keep one, and no `---` between"
    ]


@pytest.mark.parametrize(
    "data",
    [bytes(range(256)), b"\x7fELF\x02\x01\x01\0", b"\x89PNG\r\n", b"\0" * 100, b"a: \xff", b"\xfe\xff\xd8"],
)
def test_binary(data: bytes) -> None:
    assert len(problems(data)) == 1
    assert not read(data).whole
