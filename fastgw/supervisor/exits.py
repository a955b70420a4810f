"""The exit codes of `fastgw`: a contract with whoever starts it. No other number is ever returned."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    OK = 0
    CONFIG = 1  # the configuration is wrong (or `check` found it so, or a reload was refused)
    USAGE = 2  # the command line is wrong (click's own code)
    PORT_IN_USE = 3  # an address of the configuration belongs to another process
    CANNOT_BOOT = 4  # the configuration is valid, and no worker could be brought up with it
    INTERNAL = 5  # a defect of fastgw


class BootError(Exception):
    """Ends the start: the sentence for the operator, and the code for whoever started it."""

    def __init__(self, code: Exit, message: str) -> None:
        super().__init__(message)
        self.code = code
