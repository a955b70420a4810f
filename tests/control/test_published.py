from collections.abc import Callable
from typing import Any

from fastgw.control.published import History, Published
from fastgw.ipc import difference

Make = Callable[..., Published]
ROUTE: dict[str, Any] = {
    "name": "orders",
    "match": {"path": "/orders/*"},
    "upstream": "orders",
    "max_body": "1MB",
}


def test_the_whole_document_goes_to_whoever_holds_nothing_known(published: Make) -> None:
    current = published()
    history = History(current)
    for holds in (None, "something else"):
        message, payload = history.message(holds)
        assert message == {"type": "config", "version": 1, "hash": current.hash, "base_hash": None}
        assert dict(difference.decode(payload)) == dict(current.parts)


def test_only_the_difference_goes_to_whoever_holds_an_earlier_one(published: Make) -> None:
    first, second = published(1), published(2, routes=[ROUTE])
    third = published(3, routes=[])
    history = History(first)
    history.publish(second)
    message, payload = history.message(first.hash)
    assert (message["version"], message["base_hash"]) == (2, first.hash)
    assert dict(difference.decode(payload)) == {"route:orders": second.parts["route:orders"]}
    history.publish(third)
    assert dict(difference.decode(history.message(second.hash)[1])) == {"route:orders": None}
    assert dict(difference.decode(history.message(first.hash)[1])) == {"route:orders": None}


def test_the_same_content_under_a_new_number_is_an_empty_difference(published: Make) -> None:
    first = published(1)
    history = History(first)
    history.publish(published(2))
    message, payload = history.message(first.hash)
    assert (message["version"], message["hash"], message["base_hash"]) == (2, first.hash, first.hash)
    assert list(difference.decode(payload)) == []


def test_few_are_remembered_and_the_oldest_is_forgotten(published: Make) -> None:
    versions = [published(number, instance=f"gateway-{number}") for number in range(1, 8)]
    history = History(versions[0])
    for one in versions[1:]:
        history.publish(one)
    assert [history.message(one.hash)[0]["base_hash"] is None for one in versions] == [True] * 3 + [False] * 4
