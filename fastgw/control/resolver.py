"""The steward of names: resolves the targets' names at start and again at their TTL (every `dns_interval` where the
resolver gives none), and says what changed.

Only control asks a resolver; workers are told. A name that cannot be resolved keeps its last good addresses.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from fastgw.control.names import Found
from fastgw.control.operator_log import OperatorLog
from fastgw.gateway.document.model import Document
from fastgw.ipc import messages
from fastgw.ipc.messages import Message

# A resolver that does not answer costs this much of one name's time, and none of the others'.
TIMEOUT = 10.0
# A TTL below asks for a look-up at every use; one above is a slip of the pen that nobody wants to wait for.
SHORTEST_TTL = 1.0
LONGEST_TTL = 86400.0
# After a failure, sooner than the interval: doubled each time, up to the interval.
FIRST_RETRY = 1.0
# Look-ups at a time: the loop's own threads are four, and the rest would only queue there.
_CONCURRENT = 8

Resolve = Callable[[str], Awaitable[Found]]
Sleep = Callable[[float], Awaitable[object]]
User = tuple[str, int]  # upstream, port
_NOTHING = Found(())


@dataclass(slots=True)
class _Name:
    users: dict[User, float] = field(default_factory=dict)  # to the upstream's dns_interval
    addresses: tuple[str, ...] = ()
    error: str | None = None
    known: bool = False
    task: asyncio.Task[None] | None = None

    @property
    def interval(self) -> float:
        return min(self.users.values())


class Resolver:
    """`tell` gets an `addresses` message whenever an answer differs from the one before it."""

    def __init__(
        self,
        resolve: Resolve,
        tell: Callable[[Message], None],
        log: OperatorLog,
        last_good: Iterable[Mapping[str, object]] = (),
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._resolve = resolve
        self._tell = tell
        self._log = log
        self._sleep = sleep
        self._turns = asyncio.Semaphore(_CONCURRENT)
        self._names: dict[str, _Name] = {}
        # From a control process before this one.
        self._last_good: dict[str, tuple[str, ...]] = {}
        for message in last_good:
            found = message["addresses"]
            if isinstance(found, list) and found:
                self._last_good[str(message["host"])] = tuple(found)

    def follow(self, document: Document) -> None:
        """Watch exactly the names of this document. A name that stays keeps its addresses and its rhythm."""
        wanted = names_of(document)
        for host in [host for host in self._names if host not in wanted]:
            task = self._names.pop(host).task
            if task is not None:
                task.cancel()
        for host, users in wanted.items():
            name = self._names.get(host)
            if name is None:
                name = self._names[host] = _Name(users, self._last_good.get(host, ()))
                name.task = asyncio.get_running_loop().create_task(self._watch(host, name))
                continue
            fresh = [user for user in users if user not in name.users]
            name.users = users
            if name.known:
                self._announce(host, name, fresh)

    def wants(self, message: Mapping[str, object]) -> bool:
        """Whether this message is about a target of the document."""
        name = self._names.get(str(message["host"]))
        return name is not None and (message["upstream"], message["port"]) in name.users

    async def close(self) -> None:
        tasks = [name.task for name in self._names.values() if name.task is not None]
        self._names.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, host: str, name: _Name) -> None:
        failures = 0
        while True:
            async with self._turns:
                found, error = await self._ask(host)
            failures = 0 if error is None else failures + 1
            self._learn(host, name, found.addresses, error)
            pause = name.interval
            if found.ttl is not None:
                pause = min(max(found.ttl, SHORTEST_TTL), LONGEST_TTL)
            if failures:
                pause = min(pause, FIRST_RETRY * 2 ** min(failures - 1, 16))
            await self._sleep(pause)

    async def _ask(self, host: str) -> tuple[Found, str | None]:
        try:
            async with asyncio.timeout(TIMEOUT):
                found = await self._resolve(host)
        except TimeoutError:
            return _NOTHING, f"no answer within {TIMEOUT:.0f} s"
        except (OSError, UnicodeError) as error:
            # UnicodeError: the IDNA codec, for names that no resolver would take either.
            return _NOTHING, (error.strerror if isinstance(error, OSError) else None) or str(error)
        if not found.addresses:
            return _NOTHING, "the name has no address"
        return Found(tuple(sorted(set(found.addresses))), found.ttl), None

    def _learn(self, host: str, name: _Name, found: tuple[str, ...], error: str | None) -> None:
        addresses = name.addresses if error is not None else found
        if name.known and (addresses, error) == (name.addresses, name.error):
            return
        if error is not None and error != name.error:
            kept = f"; keeping {', '.join(addresses)}" if addresses else ""
            self._log.say(f"control: cannot resolve {host}: {error}{kept}")
        elif error is None and name.error is not None:
            self._log.say(f"control: {host} resolves again, to {', '.join(addresses)}")
        name.addresses, name.error, name.known = addresses, error, True
        self._announce(host, name, name.users)

    def _announce(self, host: str, name: _Name, users: Iterable[User]) -> None:
        for upstream, port in users:
            self._tell(messages.addresses(upstream, host, port, name.addresses, name.error))


def names_of(document: Document) -> dict[str, dict[User, float]]:
    """Every target name of the document that is not an address already, with who uses it how often."""
    names: dict[str, dict[User, float]] = {}
    for upstream in document.upstreams.values():
        for target in upstream.targets:
            if not target.unix_path and not _is_address(target.host):
                users = names.setdefault(target.host, {})
                users[upstream.name, target.port] = upstream.dns_interval
    return names


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
