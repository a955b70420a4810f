"""The roles of a real gateway. Importing this imports everything that a worker uses, before the first
fork."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TYPE_CHECKING

from fastgw.account.series import SeriesMemory
from fastgw.edge.dataplane import DataPlane
from fastgw.gateway.compile import compile_snapshot
from fastgw.gateway.document.model import Document, apply_parts
from fastgw.ipc import difference
from fastgw.ipc.context import ControlContext
from fastgw.supervisor.forking import BACKGROUND
from fastgw.supervisor.roles import Roles
from fastgw.worker.process import main as worker_main

if TYPE_CHECKING:
    from fastgw.gateway.snapshot import Snapshot


class DocumentBuild:
    """How documents of this version are put together and compiled."""

    def assemble(
        self, document: Document, payload: bytes, digest: str, whole: bool
    ) -> Generator[None, None, Document]:
        return apply_parts(None if whole else document, difference.decode(payload), digest, tests=False)

    def compile(
        self, document: Document, version: int, previous: Snapshot | None
    ) -> Generator[None, None, Snapshot]:
        return compile_snapshot(document, version, previous)


def control(context: ControlContext[SeriesMemory]) -> int:
    """Imports in the child: aiohttp costs 0.43 s and 20 MB, and no worker needs it."""
    os.nice(BACKGROUND)
    from fastgw.control.process import main  # noqa: PLC0415 (see above)

    return main(context)


def roles() -> Roles:
    return Roles(worker_main, control, DataPlane, DocumentBuild())
