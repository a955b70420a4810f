"""What may stand under `redis`, and which store a gateway uses by it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from fastgw.gateway.document.limit_store import LimitStore
from fastgw.gateway.document.process import RedisOptions

SECRET = "hushhush"


def redis(url: str = "redis://one", **more: str) -> RedisOptions:
    return RedisOptions.model_validate({"url": url, **more})


@pytest.mark.parametrize(
    "url",
    ["embedded", "redis://h", "redis://h:6379", "redis://[::1]:6379/2", "rediss://user:pass@h:1", "redis://:pass@h",
     "unix:///run/redis.sock", "unix:///run/redis.sock?db=3"],
)  # fmt: skip
def test_taken(url: str) -> None:
    assert redis(url).url == url


@pytest.mark.parametrize(
    "url",
    ["", "Embedded", "h:6379", f"http://u:{SECRET}@h", "redis://", f"redis://u:{SECRET}@h:99999", "unix://run/redis.sock",
     "unix://", f"redis://u:{SECRET}@h/x", f"redis://u:{SECRET}@h/1\n", f"redis://u:{SECRET}@h/1 ", f"redis://{SECRET}@h"],
)  # fmt: skip
def test_refused_and_never_repeated(url: str) -> None:
    with pytest.raises(ValidationError, match="write") as raised:
        redis(url)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("prefix", ["fastgw:", "a", "x" * 64, "edge|1~"])
def test_prefix(prefix: str) -> None:
    assert redis(prefix=prefix).prefix == prefix


@pytest.mark.parametrize("prefix", ["", "x" * 65, "a{", "a}b", "a b", "a\n", "ä", "\x7f"])
def test_prefix_refused(prefix: str) -> None:
    with pytest.raises(ValidationError):
        redis(prefix=prefix)


@pytest.mark.parametrize("timeout", ["0ms", "0.5ms", "1001ms", "2s"])
def test_timeout_refused(timeout: str) -> None:
    with pytest.raises(ValidationError, match="from 1ms to 1s"):
        redis(timeout=timeout)


@pytest.mark.parametrize("timeout", ["1ms", "25ms", "1s"])
def test_timeout(timeout: str) -> None:
    assert 0 < redis(timeout=timeout).timeout <= 1


def follow(store: LimitStore, options: RedisOptions | None) -> tuple[bool, str | None]:
    changed = store.follow(options)
    return changed, None if store.options is None else store.options.url


def test_a_store_of_the_document_is_followed() -> None:
    store = LimitStore()
    assert follow(store, None) == (False, None)
    assert follow(store, redis("redis://a")) == (True, "redis://a")
    assert follow(store, redis("redis://a")) == (False, "redis://a")
    assert follow(store, redis("redis://b", prefix="p:", timeout="50ms")) == (True, "redis://b")
    assert store.options is not None
    assert (store.options.prefix, store.options.timeout) == (b"p:", 0.05)
    assert follow(store, None) == (True, None)


def test_the_embedded_one_stays_whatever_a_document_says_until_the_next_start() -> None:
    store = LimitStore("unix:///run/own.sock")
    assert follow(store, redis("embedded")) == (True, "unix:///run/own.sock")
    assert follow(store, redis("redis://a", prefix="p:")) == (True, "unix:///run/own.sock")
    assert store.options is not None
    assert store.options.prefix == b"p:"
    assert follow(store, None) == (False, "unix:///run/own.sock")
    assert store.embedded


def test_one_cannot_be_had_by_a_reload() -> None:
    store = LimitStore()
    assert follow(store, redis("embedded")) == (False, None)
    assert follow(store, redis("redis://a")) == (True, "redis://a")
    assert follow(store, redis("embedded", timeout="50ms")) == (True, "redis://a")
    assert store.options is not None
    assert store.options.timeout == 0.05
