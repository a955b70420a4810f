"""The fork itself, and what a child puts in order before its own code: signals, descriptors, its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable

from fastgw.supervisor.exits import Exit
from fastgw.supervisor.signals import HANDLED

_PR_SET_PDEATHSIG = 1


# Added to the niceness of logger and control. Where they share a core with a worker its requests come first: a wake-up of
# the logger (100 a second under load) does not interrupt one. They still get a quarter of a saturated core.
BACKGROUND = 5


def fork_child(main: Callable[[], int], keep: Iterable[int], orphan_signal: signal.Signals) -> int:
    """Fork; the child runs `main` with the descriptors `keep` (and 0, 1, 2) and exits with what it returns.
    `orphan_signal` reaches the child when its parent dies, however it dies."""
    parent = os.getpid()
    # A signal between the fork and `_settle` would run the parent's handler in the child and be lost.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return pid
    code = int(Exit.INTERNAL)
    try:
        _settle(set(keep), orphan_signal)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        # The parent may have died before PR_SET_PDEATHSIG was in force: then the signal never comes.
        if os.getppid() == parent:
            code = main()
    except BaseException:
        traceback.print_exc()
    finally:
        # Never return into the parent's frames: its cleanup is not this process's.
        try:
            sys.stderr.flush()
        finally:
            os._exit(code)


def _settle(keep: set[int], orphan_signal: signal.Signals) -> None:
    signal.set_wakeup_fd(-1)
    for each in HANDLED:
        # A terminal and some service managers signal the whole group; what children are to do, the supervisor
        # says.
        signal.signal(each, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Whoever can do better than to die at once installs its own handler.
    signal.signal(orphan_signal, signal.SIG_DFL)
    die_with_parent(orphan_signal)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    close_all_but(keep | {0, 1, 2})


def die_with_parent(orphan_signal: signal.Signals) -> None:
    """How this process learns that its parent is dead; replaces what was said before, and outlives an exec."""
    try:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(orphan_signal), 0, 0, 0)
    except (OSError, AttributeError):
        pass  # not Linux: the end of file on the channel and the check of the parent remain


def close_all_but(keep: set[int]) -> None:
    """Close every descriptor of this process except these. The Python objects that held them stay alive in
    the parent's frames, which are never left (see fork_child), so none of them closes its number a second
    time."""
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd not in keep:
            try:
                os.close(fd)
            except OSError:
                pass  # the descriptor of this very listing
