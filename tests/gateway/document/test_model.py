from __future__ import annotations

from typing import Any

import pytest

from fastgw.gateway.document.load import load_parts, load_plain
from fastgw.gateway.document.model import (
    Document,
    apply_parts,
    base_from_part,
    document_hash,
    part_hash,
    route_from_part,
    upstream_from_part,
)


def finish(work: Any) -> Document:
    while True:
        try:
            next(work)
        except StopIteration as done:
            document: Document = done.value
            return document


def test_parts_and_back(plain: dict[str, Any]) -> None:
    document = load_plain(plain, "test")
    parts = document.parts()
    assert set(parts) == {"base", "upstream:app", "route:one", "route:two"}
    again = load_parts(parts)
    assert (again.base, again.upstreams, again.routes) == (document.base, document.upstreams, document.routes)
    assert (again.hash, again.hashes) == (document.hash, document.hashes)
    assert again.plain == document.plain == plain
    assert list(again.routes) == ["one", "two"]
    parts.clear()
    assert document.parts()  # a copy was given


def test_each_part_by_itself(plain: dict[str, Any]) -> None:
    document = load_plain(plain, "test")
    parts = document.parts()
    assert base_from_part(parts["base"]) == document.base
    assert upstream_from_part("app", parts["upstream:app"]) == document.upstreams["app"]
    assert route_from_part("one", parts["route:one"]) == document.routes["one"]


def test_a_part_and_the_rest_without_what_is_written_out(plain: dict[str, Any]) -> None:
    document = load_plain(plain, "test")
    route = document.part("route:one")
    assert route == plain["routes"][0]
    route["name"] = "changed"
    assert document.part("route:one") == plain["routes"][0]
    assert document.part("route:none") is None
    lean = document.without_plain()
    assert (lean.hash, lean.hashes, lean.parts()) == (document.hash, document.hashes, document.parts())
    assert lean.routes is document.routes and lean.warnings is document.warnings
    assert lean.plain == document.plain and lean.plain is not document.plain


def test_the_hash_is_of_the_content(plain: dict[str, Any]) -> None:
    document = load_plain(plain, "test")
    plain["routes"].reverse()
    plain["upstreams"]["app"] = dict(reversed(plain["upstreams"]["app"].items()))
    assert load_plain(plain, "test").hash == document.hash
    plain["routes"][0]["reply"] = {"status": 205}
    changed = load_plain(plain, "test")
    assert changed.hash != document.hash
    assert {key for key in changed.hashes if changed.hashes[key] != document.hashes[key]} == {"route:two"}
    assert len(document.hash) == 32


def test_a_difference_is_applied_in_slices(plain: dict[str, Any]) -> None:
    old = load_plain(plain, "test")
    plain["routes"][0]["max_body"] = "1KB"
    del plain["routes"][1]
    plain["upstreams"]["next"] = {"targets": ["http://127.0.0.1:9002"]}
    plain["workers"] = 3
    new = load_plain(plain, "test")
    keys = [key for key in new.hashes if old.hashes.get(key) != new.hashes[key]]
    changes = [("route:two", None), *((key, new.parts()[key]) for key in keys)]
    assert len(changes) == 4
    work = apply_parts(old, changes, new.hash)
    # One step a change, and one for each of the four small tables that are copied before.
    assert sum(1 for _ in work) == len(changes) + 4
    result = finish(apply_parts(old, changes, new.hash))
    assert (result.base, result.upstreams, result.routes) == (new.base, new.upstreams, new.routes)
    assert (result.hash, result.hashes, result.plain) == (new.hash, new.hashes, new.plain)
    # What did not change is the same object; the old document is what it was.
    assert result.upstreams["app"] is old.upstreams["app"]
    assert list(old.routes) == ["one", "two"]


def test_who_runs_no_tests_has_none_but_passes_them_on(plain: dict[str, Any]) -> None:
    plain["tests"] = [{"request": "GET http://a/two", "expect": {"route": "two"}}]
    written = load_plain(plain, "test")
    served = finish(apply_parts(None, written.parts().items(), written.hash, tests=False))
    assert (len(written.base.tests), served.base.tests) == (1, ())
    assert (served.hash, served.hashes, served.parts()) == (written.hash, written.hashes, written.parts())
    assert load_parts(served.parts()).base == written.base


def test_a_document_has_a_base() -> None:
    with pytest.raises(ValueError, match="without its base"):
        finish(apply_parts(None, [], ""))


def test_document_hash_does_not_depend_on_order() -> None:
    assert document_hash({"a": "1", "b": "2"}) == document_hash({"b": "2", "a": "1"})
    assert document_hash({"a": "1"}) != document_hash({"a": "2"})
    assert part_hash(b"x") != part_hash(b"y")
