"""The sockets that a worker accepts on: its own, the shared ones, and those of siblings that cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastgw.account.series import Word
from fastgw.worker.hush import end_listening, keep_out, queued

if TYPE_CHECKING:
    from fastgw.worker.birth import Birth, Borrowed, Plane

# While new connections are kept out: long enough for handshakes that have begun, and at most so long for the queues.
_TURN = 0.002
_LEAST_TURNS = 10
_MOST_TURNS = 100


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
            self._close_late(self._servers)

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

    async def finish(self) -> None:
        """Stop accepting without a loss: keep new connections out, accept what is in the queues, close."""
        if self._closed:
            return
        accepting = [*self._birth.shared, *self._accepting()]
        for borrowed in accepting:
            keep_out(borrowed.sock)
        for turn in range(_MOST_TURNS):
            await asyncio.sleep(_TURN)
            if self._closed or (turn >= _LEAST_TURNS and not any(queued(each.sock) for each in accepting)):
                break
        self.close()

    def close(self, orphaned: bool = False) -> None:
        """Stop accepting, now; what is in the queues is reset. An orphan ends the listening of the whole set: a
        sibling that hangs must not keep the port."""
        if self._closed:
            return
        ending = [each for own in self._birth.siblings for each in own] if orphaned else self._accepting()
        self._closed = True
        for server in (*self._servers, *(each for servers in self._adopted.values() for each in servers)):
            server.close()
        for borrowed in ending:
            end_listening(borrowed.sock)
        for borrowed in (*self._birth.shared, *(each for own in self._birth.siblings for each in own)):
            borrowed.sock.close()
        self._servers = []
        self._adopted = {}

    def _accepting(self) -> list[Borrowed]:
        """The TCP sockets that this worker accepts on."""
        indices = (self._birth.index, *self._adopted)
        return [borrowed for index in indices for borrowed in self._birth.siblings[index]]

    def _close_late(self, servers: list[asyncio.AbstractServer]) -> None:
        """The order to close came while these were being opened."""
        for server in servers:
            server.close()
        servers.clear()

    async def _adopt(self, index: int, sockets: Sequence[Borrowed]) -> None:
        if self._closed:
            return
        servers = []
        for borrowed in sockets:
            servers.append(await self._plane.listen(borrowed.listener, borrowed.sock))
        if self._closed:
            self._close_late(servers)
        else:
            self._adopted[index] = servers
            self._plane.log(f"worker {self._birth.index}: accepts for worker {index}, which does not")
