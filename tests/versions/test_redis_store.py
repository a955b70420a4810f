from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from fastgw.clock import ManualClock
from fastgw.versions.record import MAX_NOTE
from fastgw.versions.redis_server import RedisServer
from fastgw.versions.redis_store import MOST_FILES, RedisStore
from fastgw.versions.version import Changes, Raced, StoreAway, StoreError
from tests.support.valkey import Valkey

HEADS, CONTENTS = "fastgw:{versions}:heads", "fastgw:{versions}:contents"


@pytest.fixture
def store(server: RedisServer) -> RedisStore:
    return RedisStore(server, "fastgw:", ManualClock(wall=1000.0))


def test_an_empty_store(store: RedisStore) -> None:
    assert store.newest_number() == 0
    assert store.newest() is None
    assert store.newest_from_file() is None
    assert store.get(1) is None
    assert list(store.list()) == []


def test_versions_are_numbered_and_come_back(store: RedisStore, valkey: Valkey) -> None:
    changes = Changes((), ("route:ä",), (), 1)
    one = store.add({"a": "ä", "b": [1, None]}, "h1", "start", "from the file", True)
    two = store.add({"a": 2}, "h2", "api", "n" * 100_000, False, changes, expected=1)
    assert (one.number, two.number, one.at) == (1, 2, 1000.0)
    server = RedisServer(valkey.url, valkey.url)
    other = RedisStore(server, "fastgw:")
    assert other.newest_number() == 2
    assert other.newest() == two
    assert len(two.note) == MAX_NOTE
    assert other.newest_from_file() == one
    assert other.get(1) == one
    assert other.get(3) is None
    assert list(other.list()) == [one.entry, two.entry]
    assert RedisStore(server, "another:").newest() is None
    server.close()


def test_contents_are_small(store: RedisStore, valkey: Valkey) -> None:
    plain = {"routes": [{"name": f"route-{number}", "upstream": "orders"} for number in range(1000)]}
    store.add(plain, "h", "x", "", True)
    assert int(valkey.client().hstrlen(CONTENTS, "1")) < len(orjson.dumps(plain)) / 5  # type: ignore[arg-type]


def test_whoever_builds_on_an_old_version_loses(store: RedisStore) -> None:
    store.add({"a": 1}, "h", "x", "", False, expected=0)
    store.add({"a": 2}, "h", "x", "", False, expected=1)
    for old in (0, 1, 7):
        with pytest.raises(Raced) as caught:
            store.add({"a": 3}, "h", "x", "", False, expected=old)
        assert caught.value.newest == 2
    assert [entry.number for entry in store.list()] == [1, 2]


class Forgetful(RedisServer):
    """Does what it is told, and loses its next answers."""

    lost = 0

    def ask(self, work: Callable[[Any], Any]) -> Any:
        answer = super().ask(work)
        if self.lost:
            self.lost -= 1
            raise StoreAway("no answer")
        return answer


def test_an_answer_that_is_lost_is_asked_for(valkey: Valkey) -> None:
    server = Forgetful(valkey.url, valkey.url)
    store = RedisStore(server, "fastgw:")
    server.lost = 1
    assert store.add({"a": 1}, "h", "x", "", False, expected=0).number == 1
    server.lost = 2
    with pytest.raises(
        StoreAway, match=r"whether it keeps version 2 is not known .* if it does, it is served"
    ) as caught:
        store.add({"a": 2}, "h", "x", "", False, expected=1)
    assert str(caught.value).startswith("no answer; ")
    assert store.newest_number() == 2
    server.close()


def test_a_question_that_did_not_arrive_is_a_failure(own_valkey: Valkey) -> None:
    server = RedisServer(own_valkey.url, own_valkey.url)
    store = RedisStore(server, "fastgw:")
    store.add({"a": 1}, "h", "x", "", False)
    own_valkey.client().config_set("maxmemory", "1")
    with pytest.raises(StoreAway, match=r"^the version store .* OutOfMemoryError.* is right$"):
        store.add({"a": 2}, "h", "x", "", False)
    server.close()


def race(valkey: Valkey, publish: Callable[[RedisStore], None]) -> None:
    def run() -> None:
        server = RedisServer(valkey.url, valkey.url)
        publish(RedisStore(server, "fastgw:"))
        server.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_of_many_publishers_exactly_one_wins_each_number(valkey: Valkey, store: RedisStore) -> None:
    won: list[int] = []
    start = threading.Barrier(4)

    def publish(mine: RedisStore) -> None:
        for number in range(20):
            start.wait()
            try:
                won.append(mine.add({}, "h", "x", "", False, expected=number).number)
            except Raced as lost:
                assert lost.newest == number + 1

    race(valkey, publish)
    assert sorted(won) == list(range(1, 21))
    assert store.newest_number() == 20


def test_whoever_takes_any_number_gets_one(valkey: Valkey) -> None:
    won: list[int] = []
    race(valkey, lambda mine: won.extend(mine.add({}, "h", "x", "", False).number for _ in range(10)))
    assert sorted(won) == list(range(1, 41))


def test_old_versions_go_but_not_the_newest_of_the_file(server: RedisServer) -> None:
    store = RedisStore(server, "fastgw:", kept=3)
    store.add({}, "h", "start", "", True)
    store.add({}, "h", "reload", "", True)
    for _ in range(6):
        store.add({}, "h", "api", "", False)
    assert [entry.number for entry in store.list()] == [2, 7, 8]
    assert store.add({}, "h", "reload", "", True).number == 9
    assert [entry.number for entry in store.list()] == [7, 8, 9]


def test_contents_have_a_bound_together(server: RedisServer) -> None:
    store = RedisStore(server, "fastgw:", most_bytes=1)
    store.add({"a": 1}, "h", "start", "", True)
    for number in range(4):
        store.add({"b": number}, "h", "api", "", False)
    assert [entry.number for entry in store.list()] == [1, 5]


def test_a_server_that_forgot_is_given_back_what_it_had(store: RedisStore, valkey: Valkey) -> None:
    one = store.add({"a": 1}, "h1", "start", "", True)
    store.add({"a": 2}, "h2", "api", "", False)
    three = store.add({"a": 3}, "h3", "api", "", False)
    assert store.newest_number() == 3
    valkey.client().flushall()
    assert store.newest_number() == 3
    assert (store.newest(), store.newest_from_file(), store.get(2)) == (three, one, None)
    assert store.add({"a": 4}, "h4", "api", "", False, expected=3).number == 4


def test_whoever_is_behind_gives_nothing_back_over_what_is_newer(
    store: RedisStore, server: RedisServer, valkey: Valkey
) -> None:
    behind = RedisStore(server, "fastgw:")
    store.add({"a": 1}, "h1", "start", "", True)
    assert behind.newest_number() == 1
    two = store.add({"a": 2}, "h2", "reload", "", True)
    assert store.newest_number() == 2
    valkey.client().flushall()
    assert behind.newest_number() == 1
    assert store.newest_number() == 2
    assert behind.newest_number() == 2
    assert (behind.newest(), behind.newest_from_file()) == (two, two)


def test_the_newest_of_the_file_is_given_back_as_such(store: RedisStore, valkey: Valkey) -> None:
    one = store.add({"a": 1}, "h1", "start", "", True)
    assert store.newest_number() == 1
    valkey.client().flushall()
    assert store.newest_number() == 1
    assert store.newest_from_file() == one


def test_files_are_remembered_by_machine(store: RedisStore, valkey: Valkey) -> None:
    assert store.file_of("a") == ""
    store.note_file("a", "h1")
    store.note_file("b", "h2")
    store.note_file("a", "h3")
    assert (store.file_of("a"), store.file_of("b")) == ("h3", "h2")
    valkey.client().hset(
        "fastgw:{versions}:files", mapping={str(number): "h" for number in range(MOST_FILES)}
    )
    store.note_file("c", "h4")
    assert (store.file_of("a"), store.file_of("c")) == ("", "h4")


def damage(valkey: Valkey, how: str) -> None:
    client = valkey.client()
    head, content = client.hget(HEADS, "1"), client.hget(CONTENTS, "1")
    assert isinstance(head, bytes)
    assert isinstance(content, bytes)
    fields: dict[str, Any] = orjson.loads(head)
    values: dict[str, tuple[str, bytes]] = {
        "no zlib": (CONTENTS, b"x"),
        "cut": (CONTENTS, content[:-2]),
        "other": (CONTENTS, zlib.compress(b"{}")),
        "head": (HEADS, b"x"),
        "sum": (HEADS, orjson.dumps({**fields, "sum": ""})),
        "number": (HEADS, orjson.dumps({**fields, "number": 2})),
        "changes": (HEADS, orjson.dumps({**fields, "changes": {"total": 1, "added": [1]}})),
    }
    key, value = values[how]
    client.hset(key, "1", value)  # type: ignore[arg-type]  # bytes are fine


@pytest.mark.parametrize("how", ["no zlib", "cut", "other", "head", "sum", "number", "changes"])
def test_a_damaged_version_is_named_with_the_cure(store: RedisStore, valkey: Valkey, how: str) -> None:
    store.add({"a": 1}, "h", "start", "", True)
    damage(valkey, how)
    with pytest.raises(StoreError, match=r"version 1 in .* is damaged: .*; publish a good one") as caught:
        store.newest()
    assert not isinstance(caught.value, StoreAway)
    assert store.add({"a": 2}, "h", "api", "", False, expected=1).number == 2


def test_a_content_without_end(server: RedisServer, valkey: Valkey) -> None:
    store = RedisStore(server, "fastgw:", max_content=1000)
    store.add({"a": 1}, "h", "start", "", True)
    valkey.client().hset(CONTENTS, "1", zlib.compress(b" " * 2000))  # type: ignore[arg-type]  # bytes are fine
    with pytest.raises(StoreError, match="does not end"):
        store.newest()


def test_an_evicted_version(store: RedisStore, valkey: Valkey) -> None:
    store.add({"a": 1}, "h", "start", "", True)
    valkey.client().delete(CONTENTS)
    with pytest.raises(StoreError, match=r"version 1 is gone from .*maxmemory-policy"):
        store.newest()


def test_a_last_number_that_is_none(store: RedisStore, valkey: Valkey) -> None:
    valkey.client().hset(HEADS, "last", "x")
    with pytest.raises(StoreError, match="its last number is none"):
        store.newest_number()


def test_numbers_come_to_an_end(store: RedisStore, valkey: Valkey) -> None:
    valkey.client().hset(HEADS, "last", "99999999")
    with pytest.raises(StoreError, match="no numbers left"):
        store.add({}, "h", "x", "", False)
