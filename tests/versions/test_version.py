from __future__ import annotations

from fastgw.versions.version import MOST_NAMES, Changes, Raced, StoreError


def test_changes_between_two_documents() -> None:
    before = {"base": "1", "route:a": "1", "route:b": "1", "upstream:x": "1"}
    after = {"base": "2", "route:a": "1", "route:c": "1", "upstream:x": "1"}
    changes = Changes.between(before, after)
    assert changes == Changes(("route:c",), ("base",), ("route:b",), 3)
    assert changes.plain() == {"added": ["route:c"], "changed": ["base"], "removed": ["route:b"], "total": 3}
    assert Changes.between(after, after) == Changes()


def test_names_have_an_end_and_the_count_has_none() -> None:
    after = {f"route:{number:05}": "1" for number in range(10_000)}
    changes = Changes.between({}, after)
    assert len(changes.added) == MOST_NAMES
    assert changes.added[0] == "route:00000"
    assert changes.total == 10_000


def test_a_lost_race_is_an_error_of_the_store_that_knows_the_winner() -> None:
    lost = Raced(7)
    assert isinstance(lost, StoreError)
    assert lost.newest == 7
    assert "version 7" in str(lost)
