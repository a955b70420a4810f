"""What the operator reads at the start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastgw import __version__
from fastgw.supervisor.settings import Settings
from fastgw.supervisor.sockets import SocketSet

if TYPE_CHECKING:
    from fastgw.gateway.document.limit_store import LimitStore


def start_lines(settings: Settings, sockets: SocketSet, limit_store: LimitStore) -> list[str]:
    """One line per listener; how many workers, which configuration, where limits are kept, where the admin interface
    is."""
    plural = "" if settings.workers == 1 else "s"
    lines = [
        f"fastgw {__version__}: configuration {settings.version} of {settings.config_path} "
        f"({settings.document.hash[:12]}), {settings.workers} worker{plural}"
    ]
    lines += [f"fastgw: listening on {name}" for name in sockets.names]
    lines += _limits(settings, limit_store)
    lines.append(f"fastgw: admin on {sockets.admin_name}")
    return lines


def _limits(settings: Settings, limit_store: LimitStore) -> list[str]:
    """Nothing where there is neither a store nor a limit to keep."""
    if limit_store.options is not None:
        whose = "an embedded server" if limit_store.embedded else limit_store.options.address.shown
        return [f"fastgw: limits are kept in {whose}" + (f" ({settings.valkey})" if settings.valkey else "")]
    document = settings.document
    if document.base.limits or any(route.limits for route in document.routes.values()):
        return ["fastgw: limits are local to each worker: the configuration has no redis key"]
    return []
