"""The sockets that a worker accepts on: its own, the shared ones, and those of siblings that cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastgw.account.series import Word

if TYPE_CHECKING:
    from fastgw.worker.birth import Birth, Borrowed, Plane


class Listening:
    """Owns the servers. `close` is final: afterwards nothing is accepted, and the borrowed sockets are
    closed."""

    def __init__(self, birth: Birth, plane: Plane) -> None:
        self._birth = birth
        self._plane = plane
        self._servers: list[asyncio.AbstractServer] = []
        self._adopted: dict[int, list[asyncio.AbstractServer]] = {}
        self._closed = False

    async def open(self) -> None:
        """Raises OSError."""
        for borrowed in (*self._birth.own, *self._birth.shared):
            server = await self._plane.listen(borrowed.listener, borrowed.sock)
            self._servers.append(server)
        if self._closed:
            self.close()

    async def heed_siblings(self) -> None:
        """Take over and give back sockets as the supervisor's words in the siblings' slots say."""
        mine = self._birth.index + 1
        for index, sockets in enumerate(self._birth.siblings):
            wanted = index != self._birth.index and self._birth.series.slot(index).get(Word.ADOPT_BY) == mine
            if wanted and index not in self._adopted:
                await self._adopt(index, sockets)
            elif not wanted and index in self._adopted:
                for server in self._adopted.pop(index):
                    server.close()
                self._plane.log(f"worker {self._birth.index}: worker {index} accepts by itself again")

    def close(self) -> None:
        self._closed = True
        for server in (*self._servers, *(each for servers in self._adopted.values() for each in servers)):
            server.close()
        self._servers = []
        self._adopted = {}
        # The port is free only when every process has closed every socket of the set.
        for borrowed in (*self._birth.shared, *(each for own in self._birth.siblings for each in own)):
            borrowed.sock.close()

    async def _adopt(self, index: int, sockets: Sequence[Borrowed]) -> None:
        if self._closed:
            return
        servers = []
        for borrowed in sockets:
            servers.append(await self._plane.listen(borrowed.listener, borrowed.sock))
        self._adopted[index] = servers
        if self._closed:
            self.close()
        else:
            self._plane.log(f"worker {self._birth.index}: accepts for worker {index}, which does not")
