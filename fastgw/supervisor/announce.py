"""What the operator reads at the start."""

from __future__ import annotations

from fastgw import __version__
from fastgw.supervisor.settings import Settings
from fastgw.supervisor.sockets import SocketSet


def start_lines(settings: Settings, sockets: SocketSet) -> list[str]:
    """One line per listener; how many workers, which configuration, where the admin interface is."""
    plural = "" if settings.workers == 1 else "s"
    lines = [
        f"fastgw {__version__}: configuration {settings.version} of {settings.config_path} "
        f"({settings.document.hash[:12]}), {settings.workers} worker{plural}"
    ]
    lines += [f"fastgw: listening on {name}" for name in sockets.names]
    lines.append(f"fastgw: admin on {sockets.admin_name}")
    return lines
