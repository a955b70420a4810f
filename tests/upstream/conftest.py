"""A bench, closed at the end so that no coroutine is left behind unrun."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.upstream.fakes import Bench, Rig


@pytest.fixture
def make_bench() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**connections: Any) -> Bench:
        made.append(Bench(**connections))
        return made[-1]

    yield make
    for bench in made:
        bench.loop.close()


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()


@pytest.fixture
def rig(bench: Bench) -> Rig:
    return Rig(bench)
