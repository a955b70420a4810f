"""From settings to a running supervisor: what is prepared before the first fork, in its order, and cleaned up
after.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastgw.supervisor import limits
from fastgw.supervisor.exits import BootError, Exit
from fastgw.supervisor.pipes import LogPipes
from fastgw.supervisor.sockets import SocketSet
from fastgw.supervisor.valkey import Valkey

if TYPE_CHECKING:
    from fastgw.gateway.document.model import Document
    from fastgw.gateway.snapshot import Snapshot
    from fastgw.supervisor.settings import Settings
    from fastgw.worker.birth import Build


@dataclass(frozen=True, slots=True)
class Booted:
    sockets: SocketSet
    pipes: LogPipes
    snapshot: Snapshot
    valkey: Valkey | None  # only with `redis: {url: embedded}`


def boot(settings: Settings, build: Build) -> Booted:
    """Raises BootError. The order matters: addresses first (the second of two gateways ends here, before it
    did anything), then the snapshot, and only then do the sockets listen."""
    limits.keep_freed_memory()
    base = settings.document.base
    warning = limits.open_files_warning(limits.raise_open_files(), base.server.max_connections)
    sockets = SocketSet(settings.workers)
    sockets.bind(base)
    try:
        snapshot = compile_now(build, settings.document, settings.version)
        valkey = None if settings.valkey is None else Valkey(settings.valkey, settings.environ)
        sockets.listen()
    except BaseException:
        sockets.close()
        sockets.close_admin()
        raise
    pipes = LogPipes(settings.workers, valkey=valkey is not None)
    if warning:
        pipes.say(f"fastgw: {warning}")
    # What exists now is shared by all forks: no collection looks at it, so its pages stay shared.
    gc.collect()
    gc.freeze()
    return Booted(sockets, pipes, snapshot, valkey)


def compile_now(build: Build, document: Document, version: int) -> Snapshot:
    """The first snapshot, in one go: nothing else has to be done meanwhile."""
    gc.disable()
    try:
        steps = build.compile(document, version, None)
        while True:
            next(steps)
    except StopIteration as finished:
        snapshot: Snapshot = finished.value
        return snapshot
    except Exception as error:
        raise BootError(Exit.CANNOT_BOOT, f"the configuration does not compile: {error}") from error
    finally:
        gc.enable()
