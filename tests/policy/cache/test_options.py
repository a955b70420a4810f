from __future__ import annotations

import pytest
from pydantic import ValidationError

from fastgw.policy.cache.options import CacheMemoryOptions, CacheOptions


def test_defaults() -> None:
    options = CacheOptions()
    assert (options.ttl, options.methods, options.statuses, options.max_object) == (
        30.0, ("GET", "HEAD"), (200, 301, 404), 1024**2,
    )  # fmt: skip
    assert CacheMemoryOptions().memory == 64 * 1024**2


def test_drop_and_keep_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="exclude each other"):
        CacheOptions.model_validate({"query": {"drop": ["a"], "keep": ["b"]}})
