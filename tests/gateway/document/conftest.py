"""A document to change in each test."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastgw.config.errors import ConfigError
from fastgw.gateway.document.load import load_file

PLAIN: dict[str, Any] = {
    "listeners": [{"address": "127.0.0.1:8080"}],
    "instance": "test",
    "upstreams": {"app": {"targets": ["http://127.0.0.1:9001"]}},
    "routes": [
        {"name": "one", "match": {"path": "/one/*"}, "upstream": "app"},
        {"name": "two", "match": {"path": "/two"}, "reply": {"status": 204}},
    ],
}


@pytest.fixture
def plain() -> dict[str, Any]:
    return copy.deepcopy(PLAIN)


@pytest.fixture
def problems(tmp_path: Path) -> Callable[..., list[str]]:
    """What is wrong with a file, one string a problem, without the file's folder; nothing where it is right."""

    def check(text: str | bytes, **environ: str) -> list[str]:
        file = tmp_path / "gateway.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        try:
            load_file(file, environ)
        except ConfigError as error:
            return [str(problem).replace(f"{tmp_path}/", "") for problem in error.problems]
        return []

    return check
