"""What the children run and how documents are compiled: passed in, so that the supervisor can be tried
without HTTP.

The real ones are put together in real.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastgw.account.series import SeriesMemory
from fastgw.ipc.context import ControlContext
from fastgw.worker.birth import Birth, Build, PlaneFactory


@dataclass(frozen=True, slots=True)
class Roles:
    worker: Callable[[Birth], int]
    control: Callable[[ControlContext[SeriesMemory]], int]
    plane: PlaneFactory
    build: Build
