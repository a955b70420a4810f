"""One listening socket: how an address of the configuration is bound, and what is said when it cannot be."""

from __future__ import annotations

import errno
import os
import socket
import stat
from typing import TYPE_CHECKING

from fastgw.supervisor.exits import BootError, Exit

if TYPE_CHECKING:
    from fastgw.config.address import Address

# What may wait to be accepted; the kernel lowers it to net.core.somaxconn.
BACKLOG = 4096

# A loopback port is open to every local user, so its Unix counterpart is too; the admin socket is the
# owner's.
LISTENER_MODE = 0o666
ADMIN_MODE = 0o600


def bind_tcp(address: Address, what: str, shared: bool) -> socket.socket:
    """Bound, not listening. `shared`: one of a SO_REUSEPORT set."""
    family, sockaddr = _resolve(address, what)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(sockaddr)
    except OSError as error:
        sock.close()
        raise cannot_bind(error, str(address), what) from error
    sock.setblocking(False)
    return sock


def refuse_if_taken(address: Address, what: str) -> None:
    """SO_REUSEPORT would let a second gateway of the same user bind, and steal half of the connections in
    silence. A socket without it is refused while anybody listens there."""
    bind_tcp(address, what, shared=False).close()


def bind_unix(path: str, mode: int, what: str) -> socket.socket:
    """Bound, not listening. A socket file that nobody listens on is what a killed gateway leaves: it is
    replaced."""
    _remove_stale(path, what)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Bound closed and then opened to `mode`: no moment at which others have more.
    umask = os.umask(0o177)
    try:
        sock.bind(path)
        os.chmod(path, mode)
    except OSError as error:
        sock.close()
        raise cannot_bind(error, f"unix:{path}", what) from error
    finally:
        os.umask(umask)
    sock.setblocking(False)
    return sock


def _remove_stale(path: str, what: str) -> None:
    try:
        found = os.lstat(path)
    except OSError:
        return  # nothing there; a missing folder is reported by bind
    if not stat.S_ISSOCK(found.st_mode):
        raise BootError(
            Exit.CANNOT_BOOT, f"unix:{path} ({what}): there is a file that is not a socket; remove it"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError:
            pass  # EAGAIN: somebody listens, and its queue is full
    raise BootError(Exit.PORT_IN_USE, f"unix:{path} ({what}) is in use by another process")


def _resolve(address: Address, what: str) -> tuple[int, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror as error:
        raise BootError(Exit.CANNOT_BOOT, f"{address} ({what}): {error.strerror}") from error
    family, _, _, _, sockaddr = found[0]
    return family, (str(sockaddr[0]), address.port)


def cannot_bind(error: OSError, shown: str, what: str) -> BootError:
    if error.errno == errno.EADDRINUSE:
        return BootError(
            Exit.PORT_IN_USE,
            f"{shown} ({what}) is in use by another process: is a second gateway running? "
            "Stop it, or choose another address",
        )
    if error.errno == errno.EACCES:
        return BootError(Exit.CANNOT_BOOT, f"{shown} ({what}): permission denied (ports below 1024 need it)")
    if error.errno == errno.EADDRNOTAVAIL:
        return BootError(Exit.CANNOT_BOOT, f"{shown} ({what}): this machine has no such address")
    return BootError(Exit.CANNOT_BOOT, f"{shown} ({what}): {error.strerror}")
