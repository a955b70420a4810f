"""Something done in a short-lived child, for what it would leave behind: whoever asks a store over redis-py has 15 MB
more from then on, and the process that starts the gateway would hand them to every worker it forks.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, Final, TypeVar

from fastgw.versions.version import StoreAway, StoreError

T = TypeVar("T")

PATIENCE: Final = 15.0  # seconds: a few answers of a slow server, and the look-up of its name
_AT_ONCE: Final = 1 << 20


def apart(work: Callable[[], T], patience: float = PATIENCE) -> T:
    """What `work` returns or raises as a StoreError, both of which have to survive pickling. StoreAway where it takes
    longer. Only for a process without threads."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(work, writable)
    os.close(writable)
    try:
        data = _read(readable, patience)
    finally:
        os.close(readable)
        # It has ended, or is not waited for.
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if data is None:
        raise StoreAway(
            f"the version store has not answered in {patience:g} s; see that it runs and can be reached"
        )
    if not data:
        raise RuntimeError("the process that asked the version store has died; its words are above")
    ok, value = pickle.loads(data)  # our own child's
    if ok:
        result: T = value
        return result
    raise value


def _answer(work: Callable[[], Any], descriptor: int) -> None:
    """In the child, which ends here: none of its parent's cleaning up is its business."""
    try:
        try:
            data = pickle.dumps((True, work()))
        except StoreError as error:
            data = pickle.dumps((False, error))
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(1)


def _read(descriptor: int, patience: float) -> bytes | None:
    """Until the other end closes; None where that takes longer."""
    pieces: list[bytes] = []
    while select.select([descriptor], [], [], patience)[0]:
        piece = os.read(descriptor, _AT_ONCE)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
    return None
