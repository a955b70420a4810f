"""A store that answers, but not what was asked: errors, nonsense, halves, too much, too late. Nothing but the stated
mode follows, no connection is left, and all is exact again soon after it speaks sense."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.outcome import check_refusal
from tests.support.client import request
from tests.support.config import route
from tests.support.faulty_store import (
    SCRIPTED,
    Asked,
    FaultyStore,
    Script,
    answering,
    closing,
    halving,
    passing,
    silent,
)
from tests.support.gateway import Gateway
from tests.support.limits import limit, ok, remaining, running
from tests.support.valkey import Valkey
from tests.support.wire import Response, wait_for

TIMEOUT = 0.2
TICK = 0.005
NOISE = 0.15
RETURN = 2.0
MODES = ("deny", "allow", "local")
numbers = itertools.count()


@pytest.fixture(scope="module")
def store() -> Iterator[FaultyStore]:
    with Valkey() as valkey:
        one = FaultyStore(valkey.socket_path)
        yield one
        one.close()
        assert one.errors == []


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, store: FaultyStore) -> Iterator[Gateway]:
    config: dict[str, Any] = {
        "redis": {"url": store.url, "timeout": f"{round(TIMEOUT * 1000)}ms"},
        "upstreams": {},
        "routes": [
            route(mode, f"/{mode}/*", limits=[limit("few", "header:X-Caller", on_error=mode)], reply=ok())
            for mode in MODES
        ],
    }
    with running(tmp_path_factory.mktemp("nonsense"), config) as one:
        yield one


def ask(gateway: Gateway, path: str, caller: str) -> tuple[Response, float]:
    start = time.monotonic()
    with gateway.client() as client:
        client.send(request(path, fields=[f"X-Caller: {caller}"]))
        return client.read(), time.monotonic() - start


def new_caller() -> str:
    return f"caller-{next(numbers)}"


def exact(gateway: Gateway) -> bool:
    caller = new_caller()
    return [ask(gateway, "/deny/x", caller)[0].status for _ in range(3)] == [200, 200, 429]


@pytest.fixture
def sane(gateway: Gateway, store: FaultyStore) -> Iterator[None]:
    """The store speaks sense before and after."""
    wait_for(lambda: exact(gateway), RETURN, "exact limits", every=0.02)
    yield
    store.script = passing


def echo_and_more(asked: Asked) -> None:
    """Two answers to one command: the second must not become somebody else's."""
    reply = asked.forward()
    asked.send(reply + reply if asked.name in SCRIPTED else reply)


def refusing_scripts(text: bytes) -> Script:
    return answering(b"-" + text + b"\r\n", SCRIPTED)


NONSENSE: dict[str, Script] = {
    "LOADING": answering(b"-LOADING Redis is loading the dataset in memory\r\n"),
    "OOM": refusing_scripts(b"OOM command not allowed when used memory > 'maxmemory'."),
    "READONLY": refusing_scripts(b"READONLY You can't write against a read only replica."),
    "NOAUTH": answering(b"-NOAUTH Authentication required.\r\n"),
    "MASTERDOWN": answering(b"-MASTERDOWN Link with MASTER is down\r\n"),
    "BUSY": refusing_scripts(b"BUSY Redis is busy running a script."),
    "script error": refusing_scripts(b"ERR user_script:1: attempt to index nil"),
    "an error without words": answering(b"-\r\n"),
    "NOSCRIPT for ever": refusing_scripts(b"NOSCRIPT No matching script. Please use EVAL."),
    "garbage": answering(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
    "binary garbage": answering(bytes(range(128, 256)) * 20),
    "a word": answering(b"+OK\r\n"),
    "a number": answering(b":1\r\n"),
    "nothing": answering(b"$-1\r\n"),
    "no list": answering(b"*-1\r\n"),
    "an empty list": answering(b"*0\r\n"),
    "an empty text": answering(b"$0\r\n\r\n"),
    "a long list": answering(b"*300\r\n" + b":1\r\n" * 300),
    "a list of words": answering(b"*2\r\n$3\r\nabc\r\n$3\r\ndef\r\n"),
    "a deep list": answering(b"*1\r\n" * 30 + b":1\r\n"),
    "a text without end": answering(b"$999999999\r\nx"),
    "a list without end": answering(b"*100000000\r\n"),
    "half, then nothing": halving(then_close=False),
    "half, then the end": halving(then_close=True),
    "two for one": echo_and_more,
    "the end": closing,
    "silence": silent,
}
MUTE = {
    "half, then nothing",
    "silence",
    "a text without end",
    "a list without end",
}  # those alone may cost a timeout
HARMLESS = {"two for one"}


@pytest.mark.parametrize("what", NONSENSE)
@pytest.mark.usefixtures("sane")
def test_nonsense_is_answered_by_the_mode(what: str, gateway: Gateway, store: FaultyStore) -> None:
    spent, drained = new_caller(), new_caller()
    for _ in range(2):  # one bucket is empty before the store goes mad
        assert ask(gateway, "/deny/x", spent)[0].status == 200
    store.script = NONSENSE[what]
    slow = 0
    for number in range(4):
        for mode in MODES:
            caller = spent if mode == "deny" and number == 3 else new_caller()
            answer, took = ask(gateway, f"/{mode}/x", caller)
            assert took <= TIMEOUT + TICK + NOISE, f"{took:.3f} s"
            slow += took >= TIMEOUT * 0.9
            if caller == spent and answer.status == 429:
                continue  # an empty bucket is remembered for a second
            if mode == "deny" and not (what in HARMLESS and answer.status == 200):
                check_refusal(gateway, answer, 503, "limit_store_down")
                assert answer.get("WWW-Authenticate") is None
            elif mode != "deny":
                assert answer.status == 200
    assert slow <= (6 if what in MUTE else 0), f"{slow} of 12 waited for the timeout"
    found = [ask(gateway, "/local/x", drained)[0].status for _ in range(4)]
    assert found.count(200) <= 2, "a local bucket gave more than the burst"
    healed = time.monotonic()
    store.script = passing
    wait_for(lambda: exact(gateway), RETURN, "exact limits", every=0.02)
    assert time.monotonic() - healed <= RETURN + NOISE
    assert ask(gateway, "/deny/x", spent)[0].status == 429, "what was spent before is forgotten"
    wait_for(lambda: store.open <= 2, 3.0, "one connection of the worker, one of control")


WILD = [b"-1", b"-9223372036854775808", b"9223372036854775807", b"1", b"0"]


@pytest.mark.parametrize("number", WILD)
@pytest.mark.usefixtures("sane")
def test_numbers_that_cannot_be_harm_nobody(number: bytes, gateway: Gateway, store: FaultyStore) -> None:
    """The right form with wrong numbers in it: whatever is decided, the answer is whole and can be read."""

    def lying(asked: Asked) -> None:
        reply = asked.forward()
        asked.send(
            re.sub(rb":-?[0-9]+\r\n", b":" + number + b"\r\n", reply) if asked.name in SCRIPTED else reply
        )

    store.script = lying
    for mode in MODES:
        for _ in range(3):
            answer, took = ask(gateway, f"/{mode}/x", new_caller())
            assert answer.status in {200, 429, 503}
            assert took < TIMEOUT
            assert all(left <= 2 for left, _ in remaining(answer).values())
            if answer.status == 429:
                assert 1 <= int(answer.get("Retry-After") or 0) <= 7200
    store.script = passing
    wait_for(lambda: exact(gateway), RETURN, "exact limits", every=0.02)


@pytest.mark.usefixtures("sane")
def test_a_slow_store_is_waited_for(gateway: Gateway, store: FaultyStore) -> None:
    def slow(asked: Asked) -> None:
        reply = asked.forward()
        time.sleep(TIMEOUT / 4)
        asked.send(reply)

    store.script = slow
    for _ in range(3):
        caller = new_caller()
        found = [ask(gateway, "/deny/x", caller) for _ in range(3)]
        assert [answer.status for answer, _ in found] == [200, 200, 429]
        assert (
            min(took for _, took in found[:2]) >= TIMEOUT / 4 * 0.9
        )  # what is empty is known without a question


@pytest.mark.parametrize("first_is_spent", [True, False])
@pytest.mark.usefixtures("sane")
def test_a_late_answer_is_nobody_elses(first_is_spent: bool, gateway: Gateway, store: FaultyStore) -> None:
    """It comes after its timeout, while the next one waits: that one must not be judged by it."""
    spent, whole = new_caller(), new_caller()
    for _ in range(2):
        assert ask(gateway, "/deny/x", spent)[0].status == 200
    time.sleep(1.1)  # so long an empty bucket is remembered; then the store is asked again
    first, second = (spent, whole) if first_is_spent else (whole, spent)
    right = 200 if second == whole else 429
    gate, late = threading.Event(), threading.Event()

    def script(asked: Asked) -> None:
        if asked.name in SCRIPTED and not late.is_set():
            late.set()
            reply = asked.forward()
            gate.wait(5)
            asked.send(reply)
        else:
            passing(asked)

    store.script = script
    abandoned, took = ask(gateway, "/deny/x", first)
    check_refusal(gateway, abandoned, 503, "limit_store_down")
    assert took >= TIMEOUT * 0.9
    with gateway.client() as client:
        client.send(request("/deny/x", fields=[f"X-Caller: {second}"]))
        time.sleep(TIMEOUT / 10)  # it is on its way; whether it is with the store is the gateway's affair
        gate.set()
        assert client.read().status in {right, 503}
    wait_for(lambda: exact(gateway), RETURN, "exact limits", every=0.02)
    assert ask(gateway, "/deny/x", second)[0].status == right


@pytest.mark.usefixtures("sane")
def test_connections_that_are_cut_again_and_again(gateway: Gateway, store: FaultyStore) -> None:
    """Each cut costs at most those who waited; after the last one all is as before, with one connection."""
    for _ in range(10):
        store.drop()
        assert ask(gateway, "/allow/x", new_caller())[0].status == 200
    wait_for(lambda: exact(gateway), RETURN, "exact limits", every=0.02)
    wait_for(lambda: store.open <= 2, 3.0, "one connection of the worker, one of control")
    assert store.opened < 200, "it connects in a hot loop"
