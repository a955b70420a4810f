"""Differences between documents."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fastgw.ipc import difference

keys = st.text(min_size=1)
# Canonical JSON: any text, but never a bare newline.
parts = st.text().map(lambda text: text.replace("\n", " ").encode("utf-8", "ignore"))


@given(st.dictionaries(keys.filter(lambda k: k.isprintable()), parts), st.sets(keys.filter(str.isprintable)))
def test_what_was_encoded_is_decoded(changed, removed):
    decoded = list(difference.decode(difference.encode(changed, removed)))
    assert dict(decoded) == {**dict.fromkeys(removed), **changed}


def test_removals_come_first():
    assert list(difference.decode(difference.encode({"a": b"1"}, ["b"]))) == [("b", None), ("a", b"1")]


def test_decoding_is_lazy():
    payload = difference.encode({"a": b"1"}) + b"\nbroken"
    assert next(difference.decode(payload)) == ("a", b"1")


def test_between_names_what_changed_and_what_is_gone():
    assert difference.between({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"}) == (
        ["b", "d"],
        ["c"],
    )


def test_nothing_is_nothing():
    assert list(difference.decode(difference.encode({}))) == []
