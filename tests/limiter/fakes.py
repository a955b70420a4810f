"""A waiter that can be awaited, a limiter with its log, and a store that answers as told."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import hiredis

from fastgw.clock import Clock, SystemClock
from fastgw.limiter import script
from fastgw.limiter.limiter import Limit, Limiter, LimiterOptions, Verdict

TIMEOUT = 0.025
# A tick of the sweep, the turn that is late by it, and what a busy machine adds.
SLACK = 0.15
PATIENCE = 5.0  # for what must come; no test waits for it to pass


async def eventually(happened: Callable[[], bool]) -> None:
    """For what has no event of its own: state of a server, memory of a limiter."""
    for _ in range(int(PATIENCE / 0.005)):
        if happened():
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"not within {PATIENCE} s")


class Asker:
    """Whoever waits for a verdict."""

    def __init__(self) -> None:
        self.closed = False
        self.verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self.inside = False

    def on_verdict(self, verdict: Verdict) -> None:
        assert not self.inside, "the verdict came from within decide"
        self.verdict.set_result(verdict)


class Desk:
    """A limiter as a worker has it."""

    def __init__(
        self, url: str | None, *, workers: int = 1, timeout: float = TIMEOUT, clock: Clock | None = None
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.clock = clock or SystemClock()
        self.said: list[str] = []
        self.options = None if url is None else LimiterOptions(url=url, prefix=b"t:", timeout=timeout)
        self.limiter = Limiter(self.loop, self.clock, self.options, workers=workers, log=self._hear)
        self._moves: list[asyncio.Event] = []
        self.limiter.start()

    def _hear(self, line: str) -> None:
        self.said.append(line)
        for event in self._moves:
            event.set()

    def ask(self, *asked: tuple[Limit, bytes]) -> asyncio.Future[Verdict]:
        asker = Asker()
        asker.inside = True
        limits, values = tuple(limit for limit, _ in asked), [value for _, value in asked]
        verdict = self.limiter.decide(limits, values, asker, self.clock.now())
        asker.inside = False
        if verdict is not None:
            asker.verdict.set_result(verdict)
        return asker.verdict

    async def get(self, *asked: tuple[Limit, bytes]) -> Verdict:
        async with asyncio.timeout(PATIENCE):
            return await self.ask(*asked)

    async def until(self, mode: str) -> float:
        """Wait until the limiter is in this mode; returns how long that took. Changes are logged, except joining."""
        event = asyncio.Event()
        self._moves.append(event)
        began = self.loop.time()
        async with asyncio.timeout(PATIENCE):
            while self.limiter.mode != mode:
                await event.wait()
                event.clear()
        return self.loop.time() - began

    async def live(self) -> None:
        """Wait for the connection, by asking for something."""
        verdict = await self.get((limit(f"live{id(self)}", rate=1e6, burst=1_000_000), b"-"))
        assert verdict.mode == "redis"

    def close(self) -> None:
        self.limiter.close()


def limit(
    name: str,
    rate: float = 10.0,
    burst: float = 5,
    *,
    on_error: str = "local",
    leases: bool = False,
    shadow: bool = False,
) -> Limit:
    return Limit(f"r/{name}".encode(), name, rate, burst, on_error, leases, shadow)


def one_of_each() -> tuple[Limit, Limit, Limit]:
    return limit("here", 100.0, 100), limit("open", on_error="allow"), limit("shut", on_error="deny")


Answer = Callable[[list[bytes]], bytes | None]


def grants(words: list[bytes]) -> bytes:
    """To the script's call: every bucket has 5 tokens."""
    count = int(words[2])
    program = words[3 + 2 * count]
    uses = sum(1 for op in program if op not in (0, script.SHADOW))
    leases = words[4 + 2 * count :: 2]
    numbers = [b":5000000\r\n"] * count + [b":0\r\n"] * len(leases)
    return b"*%d\r\n$%d\r\n%b\r\n" % (1 + len(numbers), uses, b"1" * uses) + b"".join(numbers)


def well(words: list[bytes]) -> bytes:
    """What a store in good health says."""
    match words[0]:
        case b"SCRIPT":
            return b"$40\r\n%b\r\n" % script.SHA
        case b"EVALSHA" | b"EVAL":
            return grants(words)
        case _:
            return b"+OK\r\n"


def is_probe(words: list[bytes]) -> bool:
    return words[0] == b"EVALSHA" and words[3].endswith(b"{probe}")


class ScriptedStore:
    """`answer` gets the words of each command and gives the bytes to send: None for silence, b"" to hang up."""

    def __init__(self, answer: Answer = well) -> None:
        self.answer = answer
        self.directory = Path(tempfile.mkdtemp(prefix="fastgw-store-"))
        self.url = f"unix://{self.directory}/s"
        self.heard: list[list[bytes]] = []
        self.connections: set[asyncio.StreamWriter] = set()
        self.accepted = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> ScriptedStore:
        self._server = await asyncio.start_unix_server(self._serve, f"{self.directory}/s")
        return self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(writer)
        self.accepted += 1
        words = hiredis.Reader()
        try:
            while data := await reader.read(65536):
                words.feed(data)
                while (command := words.gets()) is not False:
                    self.heard.append(command)
                    answer = self.answer(command)
                    if answer == b"":
                        return
                    if answer is not None:
                        writer.write(answer)
        except ConnectionError:
            pass
        finally:
            self.connections.discard(writer)
            writer.close()

    def calls(self) -> Counter[bytes]:
        return Counter(words[0] for words in self.heard)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self.connections):
            writer.transport.abort()
        shutil.rmtree(self.directory, ignore_errors=True)
