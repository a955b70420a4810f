"""The whole life of a gateway in one function, from its signals to its exit code."""

from __future__ import annotations

import sys
import traceback

from fastgw.clock import Clock, SystemClock
from fastgw.supervisor.boot import boot
from fastgw.supervisor.exits import BootError, Exit
from fastgw.supervisor.loop import Supervisor
from fastgw.supervisor.roles import Roles
from fastgw.supervisor.settings import Settings
from fastgw.supervisor.signals import SignalQueue


def run(settings: Settings, roles: Roles, clock: Clock | None = None) -> Exit:
    """Run a gateway until it is told to end."""
    signals = SignalQueue()
    signals.install()
    try:
        booted = boot(settings, roles.build)
        try:
            return Supervisor(settings, roles, booted, signals, clock or SystemClock()).run()
        finally:
            booted.sockets.close()
            booted.sockets.close_admin()
            if booted.valkey is not None:
                booted.valkey.close()
    except BootError as error:
        sys.stderr.write(f"fastgw: {error}\n")
        return error.code
    except Exception:
        # Children that live see the end of their channels, and finish by themselves.
        sys.stderr.write("fastgw: the supervisor has failed; this is a defect of fastgw\n")
        traceback.print_exc()
        return Exit.INTERNAL
    finally:
        signals.uninstall()
