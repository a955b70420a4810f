from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from fastgw.control.collection import Collection


def test_nothing_is_collected_meanwhile_and_again_afterwards() -> None:
    frozen = gc.get_freeze_count()
    with Collection(False).paused():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(RuntimeError), Collection(False).paused():
        raise RuntimeError
    assert gc.isenabled()
    assert gc.get_freeze_count() == frozen


FROZEN = """
import gc, weakref
from fastgw.control.collection import Collection
class Thing: pass
cycle = Thing(); cycle.me = cycle; gone = weakref.ref(cycle); del cycle
with Collection(True).paused():
    assert gone() is None  # what was garbage before is not kept for ever
    made = [Thing() for _ in range(1000)]
    freed = weakref.ref(made[0])
assert gc.isenabled() and gc.get_freeze_count() > 1000
assert len(gc.get_objects()) < 100
made.clear()
assert freed() is None  # counting references goes on
"""


def test_what_was_made_is_not_looked_at_any_more() -> None:
    """In a process of its own: this one shall go on looking."""
    subprocess.run([sys.executable, "-c", FROZEN], check=True, timeout=30)
