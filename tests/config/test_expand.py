from __future__ import annotations

import pytest

from fastgw.config.expand import expand

ENVIRON = {"A": "1", "EMPTY": "", "NESTED": "${A}", "LONG_name_2": "x"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "1"), ("a${A}b${A}", "a1b1"), ("${NO:-}", ""), ("${NO:-d}", "d"), ("${EMPTY:-d}", "d"), ("${EMPTY}", ""),
        ("${A:-d}", "1"), ("${NO:-a:-b}", "a:-b"), ("$${A}", "${A}"), ("$A", "$A"), ("$", "$"), ("$$", "$$"),
        ("{A}", "{A}"),
        # What a variable holds is not looked at again.
        ("${NESTED}", "${A}"), ("${LONG_name_2}", "x"), ("${NO:- spaces }", " spaces "),
    ],
)  # fmt: skip
def test_expanded(text: str, value: str) -> None:
    assert expand(text, ENVIRON) == value


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("${NO}", "NO is not set"), ("${}", "no reference"), ("${A", "no reference"), ("${1A}", "no reference"),
        ("${A-b}", "no reference"), ("${A:b}", "no reference"), ("${a b}", "no reference"), ("${Ä}", "no reference"),
        ("${A\n}", "no reference"),
    ],
)  # fmt: skip
def test_refused(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        expand(text, ENVIRON)


def test_a_variable_that_is_not_text_is_refused_without_its_value() -> None:
    with pytest.raises(ValueError, match="BAD is not UTF-8") as caught:
        expand("${BAD}", {"BAD": "hush\udcff"})
    assert "hush" not in str(caught.value)
