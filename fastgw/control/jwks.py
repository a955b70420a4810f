"""The steward of keys: fetches each issuer's JWKS at start, every `jwks_refresh`, and when a token names a new key.

Only control asks an identity provider; workers are told. A source that fails keeps its last good keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from fastgw.clock import Clock
from fastgw.control.jwks_files import JwksFiles
from fastgw.control.jwks_source import KeysUnavailable, shown_url
from fastgw.control.operator_log import OperatorLog
from fastgw.gateway.document.model import Document
from fastgw.ipc import messages
from fastgw.ipc.messages import Message

# Between two fetches that unknown keys ask for: whoever invents names must not make us a nuisance to the provider.
COOL_DOWN: Final = 10.0
# After a failure, sooner than the interval: doubled each time, up to a minute; while there is no key at all, routes
# answer 503, so up to this.
FIRST_RETRY: Final = 1.0
LAST_RETRY: Final = 60.0
LAST_RETRY_WITHOUT_KEYS: Final = 5.0
# A fleet that started at once must not fetch at once for ever: up to a tenth sooner.
JITTER: Final = 0.1

Keys = list[dict[str, Any]]
Sleep = Callable[[float], Awaitable[object]]


class Source(Protocol):
    async def fetch(self, url: str) -> Keys: ...


@dataclass(slots=True)
class _Watched:
    interval: float
    keys: Keys
    error: str | None = None
    known: bool = False  # whether anything was said about it
    fetching: bool = False
    asked_at: float = float("-inf")  # when an unknown key last caused a fetch
    askers: set[int] = field(default_factory=set)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class JwksSteward:
    """`tell` gets a `keys` message for everybody when something changed, `answer` one for the worker that asked."""

    def __init__(
        self,
        source: Source,
        tell: Callable[[Message], None],
        answer: Callable[[int, Message], None],
        log: OperatorLog,
        clock: Clock,
        random: Callable[[], float],
        files: JwksFiles | None = None,
        last_good: Iterable[Mapping[str, Any]] = (),
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._source = source
        self._tell = tell
        self._answer = answer
        self._log = log
        self._clock = clock
        self._random = random
        self._files = files
        self._sleep = sleep
        self._watched: dict[str, _Watched] = {}
        # From a control process before this one.
        self._last_good: dict[str, Keys] = {
            str(message["source"]): list(message["keys"]) for message in last_good if message["keys"]
        }

    def follow(self, document: Document) -> None:
        """Watch exactly the sources of this document. One that stays keeps its keys and its rhythm."""
        wanted = sources_of(document)
        for url in [url for url in self._watched if url not in wanted]:
            task = self._watched.pop(url).task
            if task is not None:
                task.cancel()
        for url, interval in wanted.items():
            watched = self._watched.get(url)
            if watched is not None:
                watched.interval = interval
                continue
            keys = self._last_good.pop(url, None) or (self._files.load(url) if self._files else [])
            watched = self._watched[url] = _Watched(interval, keys)
            if keys:
                self._say(url, watched)
            watched.task = asyncio.get_running_loop().create_task(self._watch(url, watched))

    def wants(self, message: Mapping[str, object]) -> bool:
        """Whether this message is about a source of the document."""
        return message["source"] in self._watched

    def unknown_key(self, worker: int, url: str) -> None:
        """A worker met a token whose key it does not know. It always gets an answer; a fetch only now and then."""
        watched = self._watched.get(url)
        if watched is None:
            self._answer(worker, messages.keys(url, [], "nobody uses this source"))
        elif watched.fetching:
            watched.askers.add(worker)
        elif self._clock.now() < watched.asked_at + COOL_DOWN:
            self._answer(worker, messages.keys(url, watched.keys, watched.error))
        else:
            watched.askers.add(worker)
            watched.asked_at = self._clock.now()
            watched.fetching = True  # from here on nobody else wakes it
            watched.wake.set()

    async def close(self) -> None:
        tasks = [watched.task for watched in self._watched.values() if watched.task is not None]
        self._watched.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, url: str, watched: _Watched) -> None:
        failures = 0
        while True:
            watched.wake.clear()
            watched.fetching = True
            try:
                keys, error = await self._source.fetch(url), None
            except KeysUnavailable as failure:
                keys, error = watched.keys, str(failure)
            watched.fetching = False
            failures = 0 if error is None else failures + 1
            self._learn(url, watched, keys, error)
            pause = watched.interval
            if failures:
                longest = LAST_RETRY if keys else LAST_RETRY_WITHOUT_KEYS
                pause = min(pause, longest, FIRST_RETRY * 2 ** min(failures - 1, 16))
            await self._rest(watched, pause * (1.0 - JITTER * self._random()))

    async def _rest(self, watched: _Watched, seconds: float) -> None:
        """Until the time is over or somebody asks."""
        loop = asyncio.get_running_loop()
        waiting = {loop.create_task(_awaited(self._sleep(seconds))), loop.create_task(_awaited(watched.wake.wait()))}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    def _learn(self, url: str, watched: _Watched, keys: Keys, error: str | None) -> None:
        askers, watched.askers = watched.askers, set()
        if watched.known and (keys, error) == (watched.keys, watched.error):
            for worker in askers:
                self._answer(worker, messages.keys(url, keys, error))
            return
        if error is not None and error != watched.error:
            kept = "; keeping the keys that are known" if keys else "; routes that need them answer 503"
            self._log.say(f"control: cannot fetch keys from {shown_url(url)}: {error}{kept}")
        elif error is None and (watched.error is not None or not watched.known or keys != watched.keys):
            self._log.say(f"control: {len(keys)} key{'' if len(keys) == 1 else 's'} from {shown_url(url)}")
        if error is None and self._files is not None and (keys != watched.keys or not watched.known):
            problem = self._files.save(url, keys)
            if problem is not None:
                self._log.say(f"control: the keys from {shown_url(url)} cannot be kept on disk: {problem}")
        watched.keys, watched.error, watched.known = keys, error, True
        self._say(url, watched)

    def _say(self, url: str, watched: _Watched) -> None:
        self._tell(messages.keys(url, watched.keys, watched.error))


def sources_of(document: Document) -> dict[str, float]:
    """Every jwks_url of the document, with the shortest interval of those who use it."""
    sources: dict[str, float] = {}
    for issuer in document.base.issuers.values():
        if issuer.jwks_url is not None:
            sources[issuer.jwks_url] = min(issuer.jwks_refresh, sources.get(issuer.jwks_url, issuer.jwks_refresh))
    return sources


async def _awaited(work: Awaitable[object]) -> None:
    await work
