import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgw.control.json_body import MAX_DEPTH, read_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(exclude_categories=["Cs"]) | st.sampled_from('":\\ ,{}')),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(alphabet=st.sampled_from('ab":\\{ ')), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(VALUES, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_what_is_right_is_read(value: Any, indent: Any, escaped: bool) -> None:
    assert read_json(json.dumps(value, indent=indent, ensure_ascii=escaped).encode()) == value


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('{"a": 1, "a": 2}', "a"),
        ('{"x": [{"b": 1, "c": {"b": 2}, "b" : 3}]}', "b"),
        ('{"a": 1, "\\u0061": 2}', "a"),
        ('{"a\\":": 1, "a\\":"\n: 2}', '\\":'),
        ('{"": 1, "": 2}', '""'),
        ('{"a": "\\\\", "a": "\\\\"}', "a"),
    ],
)  # fmt: skip
def test_a_key_that_stands_twice_is_refused_by_name(text: str, key: str) -> None:
    with pytest.raises(ValueError, match="stands twice") as caught:
        read_json(text.encode())
    assert key in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"{}x", b"NaN", b"Infinity", b"1e999", b"'a'", b"\xff", b'"\\ud800"', b"\xef\xbb\xbf{}", b"9" * 6000,
     b"[" * 5000, b"{,}", b"[1,]", b"// x\n1"],
)  # fmt: skip
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="the body is no JSON"):
        read_json(text)


def test_depth_is_bounded() -> None:
    assert read_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        with pytest.raises(ValueError, match="levels deep"):
            read_json(opening * (MAX_DEPTH + 1) + b"[1]" + closing * (MAX_DEPTH + 1))
