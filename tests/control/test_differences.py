import json
from typing import Any

from fastgw.control.differences import MOST, differences
from fastgw.gateway.document.masking import MASK, masked

BASE: dict[str, Any] = {
    "admin": {"token": "old-secret"},
    "redis": {"url": "redis://user:password@host:1"},
    "upstreams": {"a": {"targets": ["http://a"]}, "b": {"targets": ["http://b"]}},
    "routes": [{"name": "one", "upstream": "a"}, {"name": "two", "upstream": "b", "limits": [{"name": "x", "burst": 1}]}],
    "consumers": [{"name": "app", "keys": ["sha256:" + "0" * 64]}],
}


def between(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    found = differences(old, new)
    assert found.pop("truncated") is False
    return {kind: entries for kind, entries in found.items() if entries}


def test_equal_documents_differ_in_nothing() -> None:
    assert between(BASE, json.loads(json.dumps(BASE))) == {}


def test_routes_are_told_by_their_names_wherever_they_stand() -> None:
    first, second = BASE["routes"]
    assert between(BASE, {**BASE, "routes": [second, first]}) == {}
    changed = {**second, "limits": [{"name": "x", "burst": 2}, {"name": "y"}]}
    assert between(BASE, {**BASE, "routes": [{"name": "new"}, changed]}) == {
        "added": [
            {"path": "routes.two.limits.y", "value": {"name": "y"}},
            {"path": "routes.new", "value": {"name": "new"}},
        ],
        "changed": [{"path": "routes.two.limits.x.burst", "from": 1, "to": 2}],
        "removed": [{"path": "routes.one", "value": first}],
    }


def test_values_of_another_kind_are_changes() -> None:
    assert between({"a": {"b": 1}, "c": [1, 2]}, {"a": [1], "c": [2]}) == {
        "changed": [{"path": "a", "from": {"b": 1}, "to": [1]}, {"path": "c", "from": [1, 2], "to": [2]}]
    }


def test_a_secret_is_never_shown_but_that_it_changed_is() -> None:
    new = {
        **BASE,
        "admin": {"token": "new-secret"},
        "redis": {"url": "redis://user:other@host:1"},
        "consumers": [{"name": "app", "keys": ["sha256:" + "1" * 64]}],
    }
    found = between(BASE, new)
    assert [each["path"] for each in found["changed"]] == ["admin.token", "redis.url", "consumers.app.keys"]
    assert found["changed"][0] == {"path": "admin.token", "from": MASK, "to": MASK}
    text = json.dumps(found)
    assert not any(secret in text for secret in ("secret", "password", "other", "0000", "1111"))


def test_a_mask_that_was_sent_back_is_no_change() -> None:
    assert between(BASE, masked(BASE)) == between(masked(BASE), BASE) == {}


def test_secrets_of_what_is_new_or_gone_are_masked() -> None:
    rest = {key: value for key, value in BASE.items() if key not in ("admin", "consumers")}
    assert "secret" not in json.dumps(between(rest, BASE)) + json.dumps(between(BASE, rest))


def test_documents_that_are_wrong_can_be_compared() -> None:
    wrong = {"routes": [5, {"name": "x"}, {"name": "x", "a": 1}, {"name": ["y"]}, None], "upstreams": []}
    assert between(wrong, BASE) and between(BASE, wrong)
    assert between(wrong, json.loads(json.dumps(wrong))) == {}


def test_there_are_not_more_of_a_kind_than_anybody_reads() -> None:
    found = differences({}, {f"k{number}": 1 for number in range(MOST + 1)})
    assert (len(found["added"]), found["truncated"]) == (MOST, True)
