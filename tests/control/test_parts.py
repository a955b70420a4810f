import copy
from typing import Any

import pytest

from fastgw.control.parts import CONSUMERS, ROUTES, UPSTREAMS, Kind, patched

PLAIN: dict[str, Any] = {
    "routes": [{"name": "one", "a": {"b": 1}}, {"name": "two"}],
    "upstreams": {"one": {"a": 1}, "two": {}},
    "consumers": [{"name": "one", "keys": ["sha256:" + "0" * 64]}, {"name": "two"}],
}
KINDS = pytest.mark.parametrize("kind", [ROUTES, UPSTREAMS, CONSUMERS], ids=lambda kind: kind.word)


@KINDS
def test_nothing_that_was_given_is_changed(kind: Kind) -> None:
    before = copy.deepcopy(PLAIN)
    part = {"name": "one", "b": 2}
    kind.with_part(PLAIN, "one", part)
    kind.without(PLAIN, "one")
    kind.shown("one", kind.find(PLAIN, "one") or {})
    assert before == PLAIN and part == {"name": "one", "b": 2}


@KINDS
def test_a_part_keeps_its_place_and_a_new_one_comes_last(kind: Kind) -> None:
    replaced = kind.with_part(PLAIN, "one", {"b": 2})
    assert [name for name, _ in kind.all(replaced)] == ["one", "two"]
    assert kind.find(replaced, "one") == ({"name": "one", "b": 2} if kind.listed else {"b": 2})
    added = kind.with_part(PLAIN, "three", {"name": "three"})
    assert [name for name, _ in kind.all(added)] == ["one", "two", "three"]
    assert kind.place(added, "three") == (kind.key, 2 if kind.listed else "three")
    assert [name for name, _ in kind.all(kind.without(PLAIN, "one"))] == ["two"]
    assert kind.find(PLAIN, "three") is None


@KINDS
@pytest.mark.parametrize("empty", [{}, None])
def test_the_first_of_its_kind(kind: Kind, empty: Any) -> None:
    plain = {} if empty is None else {kind.key: None}
    assert kind.find(plain, "one") is None
    assert [name for name, _ in kind.all(kind.with_part(plain, "one", {}))] == ["one"]


def test_a_part_is_shown_with_its_name_and_without_its_secrets() -> None:
    consumer = CONSUMERS.find(PLAIN, "one")
    assert consumer is not None
    assert CONSUMERS.shown("one", consumer) == {"name": "one", "keys": ["sha256:********"]}
    assert UPSTREAMS.shown("one", {"a": 1}) == {"name": "one", "a": 1}


# The examples of RFC 7396, appendix A, as far as a part can be meant by them.
EXAMPLES: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("value", "patch", "result"), EXAMPLES)
def test_merge_patch(value: Any, patch: Any, result: Any) -> None:
    before = copy.deepcopy((value, patch))
    assert patched(value, patch) == result
    assert before == (value, patch)
