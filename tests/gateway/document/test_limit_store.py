"""Which store a gateway uses, by what it was started with and by what its documents say since."""

from __future__ import annotations

from fastgw.gateway.document.limit_store import LimitStore
from fastgw.gateway.document.process import RedisOptions


def redis(url: str, **more: str) -> RedisOptions:
    return RedisOptions.model_validate({"url": url, **more})


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
