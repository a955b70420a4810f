from __future__ import annotations

import pytest

from fastgw.config.yaml import parse


@pytest.mark.parametrize(
    ("data", "line", "hint"),
    [
        (b"a:\n\tb: 1\n", 2, "a tab is used for indentation"),
        (b"a: 1\n\tb: 2\n", 2, "a tab is used for indentation"),
        (b"a:\n  - x\n\t- y\n", 3, "a tab is used for indentation"),
        (b"a: [1\nb: 2\n", 2, r"a comma or the end of the \[ is missing here \(opened in line 1\)"),
        (b"a: {x: 1 y: 2}\n", 1, r"the \{ is missing|no key can be"),
        (b"a: {t: ${V}}\n", 1, r'must be quoted; write "\$\{VAR\}"'),
        (b"a: [${V}]\n", 1, r'must be quoted; write "\$\{VAR\}"'),
        (b"a: 1\n b: 2\n", 2, "a colon stands where no key can be"),
        (b"a: b: c\n", 1, "a colon stands where no key can be"),
        (b"a: @x\n", 1, "quote the value"),
        (b"a: `x\n", 1, "quote the value"),
        (b"x: 1\na: 'x\nb: 1\n", 2, "has no end"),
        (b'a: "x\n', 1, "has no end"),
        (b"- a\nb: 1\n", 2, "does not fit the list"),
        (b"a:\n  - b\n c: 1\n", 3, "does not fit|no key can be"),
        (b"a: 1\nb\n", 3, "add the colon"),
        (b"%YAML 3.0\n---\na: 1\n", 1, "remove the %YAML line"),
        (b'a: "\\ud800"\n', 1, "no character"),
        (b'a: "\\q"\n', 1, "this is not YAML"),
        (b"a: !x!y z\n", 1, "tags are not supported"),
        (b"a: 1\nb: \x00\n", 2, "control character"),
        (b"a: 1\nb: \x1b\n", 2, r"control character \(0x1b\)"),
        (b"a: 1\nb: \xe4\n", 2, "not UTF-8"),
        (b"]", 1, "."),
        (b"}", 1, "."),
        (b"a: >9x\n", 1, "."),
        (b"&", 1, "."),
        (b"*", 1, "."),
    ],
)
def test_words(data: bytes, line: int, hint: str) -> None:
    (problem,) = parse(data, "f.yaml", {}).problems
    assert problem.line == line
    with pytest.raises(AssertionError, match=hint):
        raise AssertionError(problem.message)
