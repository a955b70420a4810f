import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from fastgw.control.names import Found
from fastgw.control.resolver import FIRST_RETRY, LONGEST_TTL, Resolver, names_of
from fastgw.gateway.document.model import Document
from fastgw.ipc import messages
from fastgw.ipc.messages import Message

Make = Callable[..., Document]


class World:
    """A resolver whose answers the test gives, and a clock that it moves."""

    def __init__(self) -> None:
        self.answers: dict[str, list[str] | Exception] = {}
        self.ttl: float | None = None
        self.asked: list[str] = []
        self.told: asyncio.Queue[Message] = asyncio.Queue()
        self.sleeping: asyncio.Queue[tuple[float, asyncio.Event]] = asyncio.Queue()

    async def resolve(self, host: str) -> Found:
        self.asked.append(host)
        answer = self.answers[host]
        if isinstance(answer, Exception):
            raise answer
        return Found(tuple(answer), self.ttl)

    async def sleep(self, seconds: float) -> None:
        event = asyncio.Event()
        self.sleeping.put_nowait((seconds, event))
        await event.wait()

    async def pass_time(self) -> float:
        """Wait until a look-up is done and its pause begins, end the pause; how long it was to be."""
        seconds, event = await self.sleeping.get()
        event.set()
        return seconds


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def resolver(world: World, log: Any) -> AsyncIterator[Resolver]:
    one = Resolver(world.resolve, world.told.put_nowait, log, sleep=world.sleep)
    yield one
    await one.close()


def upstreams(**targets: list[str]) -> dict[str, Any]:
    """One upstream per keyword."""
    return {name: {"targets": urls, "dns_interval": "30s"} for name, urls in targets.items()}


def told(upstream: str, host: str, port: int, *found: str, error: str | None = None) -> Message:
    return messages.addresses(upstream, host, port, found, error)


def test_addresses_and_unix_targets_are_no_names(document: Make) -> None:
    made = document(
        upstreams=upstreams(a=["http://127.0.0.1:1", "http://[::1]:2", "unix:/run/a"], b=["http://b:80"])
    )
    assert names_of(made) == {"b": {("b", 80): 30.0}}


async def test_names_are_resolved_at_start_and_told_to_every_user(
    world: World, resolver: Resolver, document: Make
) -> None:
    world.answers["svc"] = ["10.0.0.2", "10.0.0.1", "10.0.0.2"]
    resolver.follow(document(upstreams=upstreams(a=["http://svc:80", "http://svc:81"], b=["http://svc:80"])))
    found = [await world.told.get() for _ in range(3)]
    addresses = ("10.0.0.1", "10.0.0.2")
    assert found == [
        told("a", "svc", 80, *addresses),
        told("a", "svc", 81, *addresses),
        told("b", "svc", 80, *addresses),
    ]
    assert await world.pass_time() == 30.0
    assert world.asked[0] == "svc"


async def test_only_changes_are_told(world: World, resolver: Resolver, document: Make) -> None:
    world.answers["svc"] = ["10.0.0.1"]
    resolver.follow(document(upstreams=upstreams(a=["http://svc:80"])))
    await world.told.get()
    await world.pass_time()
    _, again = await world.sleeping.get()  # asked a second time, with the same answer
    assert world.told.empty()
    world.answers["svc"] = ["10.0.0.9"]
    again.set()
    assert await world.told.get() == told("a", "svc", 80, "10.0.0.9")
    assert len(world.asked) == 3


async def test_the_last_good_answer_is_kept_on_failure(
    world: World, resolver: Resolver, document: Make, log: Any
) -> None:
    world.answers["svc"] = ["10.0.0.1"]
    resolver.follow(document(upstreams=upstreams(a=["http://svc:80"])))
    await world.told.get()
    world.answers["svc"] = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    await world.pass_time()
    failed = await world.told.get()
    assert (failed["addresses"], failed["error"]) == (["10.0.0.1"], "Name or service not known")
    assert "keeping 10.0.0.1" in log.lines()[0]
    # Asked again soon, and then less and less often, up to the interval; the log is not filled.
    assert [await world.pass_time() for _ in range(7)] == [FIRST_RETRY * 2**n for n in range(5)] + [
        30.0,
        30.0,
    ]
    assert not log.lines()
    world.answers["svc"] = ["10.0.0.1"]
    await world.pass_time()
    assert await world.told.get() == told("a", "svc", 80, "10.0.0.1")
    assert "resolves again" in log.lines()[0]


@pytest.mark.parametrize(
    "failure", [TimeoutError(), OSError("odd"), UnicodeError("label too long"), socket.gaierror(-2, "none")]
)
async def test_whatever_goes_wrong_is_told_and_not_the_end(
    world: World, resolver: Resolver, document: Make, failure: Exception
) -> None:
    world.answers["svc"] = failure
    resolver.follow(document(upstreams=upstreams(a=["http://svc:80"])))
    message = await world.told.get()
    assert message["addresses"] == [] and message["error"]
    world.answers["svc"] = ["10.0.0.1"]
    await world.pass_time()
    assert (await world.told.get())["addresses"] == ["10.0.0.1"]


async def test_a_name_without_addresses_is_a_failure(
    world: World, resolver: Resolver, document: Make
) -> None:
    world.answers["svc"] = []
    resolver.follow(document(upstreams=upstreams(a=["http://svc:80"])))
    assert (await world.told.get())["error"] == "the name has no address"


async def test_a_reload_keeps_what_stays_resolves_what_is_new_and_forgets_the_rest(
    world: World, resolver: Resolver, document: Make
) -> None:
    world.answers = {"old": ["10.0.0.1"], "stays": ["10.0.0.2"], "new": ["10.0.0.3"]}
    resolver.follow(document(upstreams=upstreams(a=["http://old:80", "http://stays:80"])))
    for _ in range(2):
        await world.told.get()
    for _ in range(2):
        await world.sleeping.get()
    resolver.follow(
        document(upstreams=upstreams(a=["http://stays:80"], b=["http://stays:90", "http://new:80"]))
    )
    assert await world.told.get() == told("b", "stays", 90, "10.0.0.2")  # at once: it is known
    assert await world.told.get() == told("b", "new", 80, "10.0.0.3")
    assert sorted(world.asked) == ["new", "old", "stays"]
    assert resolver.wants(told("a", "stays", 80))
    assert not resolver.wants(told("a", "old", 80))
    assert not resolver.wants(told("a", "stays", 90))


async def test_a_new_control_process_goes_on_with_the_last_good_answer(
    world: World, log: Any, document: Make
) -> None:
    world.answers["svc"] = socket.gaierror(-3, "Temporary failure")
    resolver = Resolver(
        world.resolve, world.told.put_nowait, log, [told("a", "svc", 80, "10.0.0.1")], sleep=world.sleep
    )
    resolver.follow(document(upstreams=upstreams(a=["http://svc:80"])))
    assert await world.told.get() == told("a", "svc", 80, "10.0.0.1", error="Temporary failure")
    await resolver.close()


async def test_many_names_are_not_asked_for_all_at_once(log: Any, document: Make) -> None:
    busy = most = 0
    go_on = asyncio.Event()
    done: asyncio.Queue[Message] = asyncio.Queue()

    async def resolve(host: str) -> Found:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await go_on.wait()
        busy -= 1
        return Found(("10.0.0.1",))

    resolver = Resolver(resolve, done.put_nowait, log)
    resolver.follow(document(upstreams=upstreams(a=[f"http://host-{n}:80" for n in range(50)])))
    asyncio.get_running_loop().call_later(0, go_on.set)
    for _ in range(50):
        await done.get()
    assert most == 8
    await resolver.close()


@pytest.mark.parametrize(
    ("ttl", "pause"), [(7.0, 7.0), (300.0, 300.0), (0.0, 1.0), (1e9, LONGEST_TTL), (None, 30.0)]
)
async def test_it_is_asked_again_when_the_answer_ends(
    world: World, resolver: Resolver, document: Make, ttl: float | None, pause: float
) -> None:
    world.answers["svc"], world.ttl = ["10.0.0.1"], ttl
    resolver.follow(document(upstreams=upstreams(a=["http://svc:80"])))
    assert await world.pass_time() == pause


async def test_a_failure_does_not_wait_for_the_end_of_an_answer(
    world: World, resolver: Resolver, document: Make
) -> None:
    world.answers["svc"], world.ttl = ["10.0.0.1"], 5.0
    resolver.follow(document(upstreams=upstreams(a=["http://svc:80"])))
    _, over = await world.sleeping.get()
    world.answers["svc"] = OSError("odd")
    over.set()
    assert await world.pass_time() == FIRST_RETRY
