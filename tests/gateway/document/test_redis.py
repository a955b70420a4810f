"""What may stand under `redis`."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

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
