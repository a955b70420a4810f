"""`python -m k6.delay LISTEN TARGET MS...`: passes bytes on between two Unix sockets, answers after a while.

Starts with the first of the delays; every SIGUSR1 moves on to the next (after the last comes the first) and says
so on standard output.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence

READ = 65536
Held = asyncio.Queue[tuple[float, bytes]]


class Delay:
    def __init__(self, target: str, delays: Sequence[float]) -> None:
        self._target = target
        self._delays = delays
        self._step = 0

    def move_on(self) -> None:
        self._step += 1
        print(f"step {self._step}: {self._seconds * 1000:.0f} ms", flush=True)

    @property
    def _seconds(self) -> float:
        return self._delays[self._step % len(self._delays)]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either end is at its end."""
        try:
            answers, questions = await asyncio.open_unix_connection(self._target)
        except OSError:
            writer.close()
            return
        held: Held = asyncio.Queue()
        parts = [
            asyncio.create_task(_pass_on(reader, questions)),
            asyncio.create_task(self._hold(answers, held)),
            asyncio.create_task(_release(held, writer)),
        ]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
            questions.close()
            writer.close()

    async def _hold(self, reader: asyncio.StreamReader, held: Held) -> None:
        loop = asyncio.get_running_loop()
        due = 0.0
        while data := await reader.read(READ):
            due = max(due, loop.time() + self._seconds)  # never before what came earlier
            held.put_nowait((due, data))
        await asyncio.sleep(max(0.0, due - loop.time()))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(READ):
        writer.write(data)
        await writer.drain()


async def _release(held: Held, writer: asyncio.StreamWriter) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due, data = await held.get()
        await asyncio.sleep(max(0.0, due - loop.time()))
        writer.write(data)
        await writer.drain()


async def run(listen: str, target: str, delays: Sequence[float]) -> None:
    delay = Delay(target, delays)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, delay.move_on)
    server = await asyncio.start_unix_server(delay.serve, listen)
    async with server:
        with contextlib.suppress(asyncio.CancelledError):
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2], [float(word) / 1000 for word in sys.argv[3:]]))
