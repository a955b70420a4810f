"""Answers of an upstream, legal and not: whole, byte by byte, split at every offset.

Each test asks on a path of its own. The script behind it sends the case's bytes, then looks at what the
gateway does with the connection: a bad one must be closed, a poisoned one must not serve another request.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.client import request
from tests.support.consumed import ReceiveQueues
from tests.support.corpus import Case, load
from tests.support.gateway import Gateway
from tests.support.upstream import Connection, Exchange, Upstream
from tests.support.wave import halves, single_bytes
from tests.support.wire import Cut, Response, TimedOut, as_fields, grouped

LEGAL = [pytest.param(case, id=case.name) for case in load("answers_legal")]
REFUSED = [pytest.param(case, id=case.name) for case in load("answers_refused")]
CUT = [pytest.param(case, id=case.name) for case in load("answers_cut")]

WRITTEN = {
    b"date", b"x-request-id", b"via", b"connection", b"content-length", b"transfer-encoding", b"trailer",
}  # fmt: skip

ASKERS = 16


class Ask:
    """One request through the gateway, answered by the upstream with these parts."""

    def __init__(self, gateway: Gateway, upstream: Upstream, queues: ReceiveQueues, case: Case) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self.queues = queues
        self.case = case
        self.connection: Connection | None = None
        self.sent = threading.Event()

    def script(self, parts: Sequence[bytes]) -> Any:
        queues = ReceiveQueues()  # one netlink socket per thread

        def answer(exchange: Exchange) -> None:
            exchange.read_body()
            self.connection = exchange.connection
            try:
                for number, part in enumerate(parts):
                    if number:
                        queues.wait_read(exchange.connection.stream.sock)
                    exchange.send(part)
            except OSError:
                pass  # refused and closed before the last part
            finally:
                queues.close()
            if self.case.then == "close":
                exchange.close()
            self.sent.set()

        return answer

    def run(self, parts: Sequence[bytes]) -> tuple[Response | None, str]:
        """The answer, or how it failed: "" for a whole one, "cut", "silence"."""
        method = self.case.request.get("method", "GET")
        path = self.upstream.script(self.script(parts))
        with self.gateway.client(timeout=5.0) as client:
            client.send(request(path, method=method))
            try:
                response, length = client.read_start(method)
            except Cut:
                return None, "cut"
            except TimedOut:
                return None, "silence"
            try:
                client.read_rest(response, length)
            except Cut:
                return response, "cut"
            except TimedOut:
                return response, "silence"
            return response, ""


def run_all(
    gateway: Gateway, upstream: Upstream, queues: ReceiveQueues, case: Case, many: list[list[bytes]]
) -> list[tuple[Ask, Response | None, str]]:
    def one(parts: list[bytes]) -> tuple[Ask, Response | None, str]:
        ask = Ask(gateway, upstream, queues, case)
        return ask, *ask.run(parts)

    if len(many) == 1 or not case.reused:
        # One at a time: bytes too many that come after the connection was given to somebody else look like an answer
        # to that one, to any proxy. Here they must meet an idle connection, or the answer that they follow.
        done = []
        for parts in many:
            done.append(one(parts))
            if not case.reused:
                dropped(upstream, done[-1][0])
        return done
    with ThreadPoolExecutor(ASKERS) as pool:
        return list(pool.map(one, many))


def ways(case: Case) -> dict[str, list[list[bytes]]]:
    data = case.template
    short = len(data) <= 700
    return {
        "whole": [[data]],
        "byte by byte": [single_bytes(data) if short else [*single_bytes(data[:60]), data[60:]]],
        "split": [halves(data, at) for at in case.offset_list()],
    }


WAYS = pytest.mark.parametrize("way", ["whole", "byte by byte", "split"])


def dropped(upstream: Upstream, ask: Ask) -> None:
    """The gateway has closed the connection, and it served nothing else after the bad answer."""
    assert ask.sent.wait(5)
    assert ask.connection is not None
    last = ask.connection.requests[-1]
    upstream.wait_closed(ask.connection)
    assert ask.connection.requests[-1] is last, "the connection was used again"


@WAYS
@pytest.mark.parametrize("case", REFUSED)
def test_refused(way: str, case: Case, gateway: Gateway, upstream: Upstream, queues: ReceiveQueues) -> None:
    assert case.refuse is not None
    for ask, response, failure in run_all(gateway, upstream, queues, case, ways(case)[way]):
        where = f"{case.rule}: {case.name}, {way}: "
        assert response is not None and not failure, where + failure
        assert response.status == 502, where + str(response.status)
        assert json.loads(response.body)["reason"] == case.refuse["reason"], where
        if way == "whole":
            entry = gateway.journal.of(response.get("X-Request-Id"))
            assert (entry["reason"], entry["source"]) == (case.refuse["reason"], "gateway")
        dropped(upstream, ask)


@WAYS
@pytest.mark.parametrize("case", CUT)
def test_wrong_in_the_body(
    way: str, case: Case, gateway: Gateway, upstream: Upstream, queues: ReceiveQueues
) -> None:
    assert case.refuse is not None
    for ask, response, failure in run_all(gateway, upstream, queues, case, ways(case)[way]):
        where = f"{case.rule}: {case.name}, {way}: "
        assert failure != "silence", where + "the client was left waiting"
        if response is not None and not failure:
            assert response.status == 502, where + f"looks whole: {response.raw_head!r} {response.body!r}"
            assert json.loads(response.body)["reason"] in {
                case.refuse["reason"],
                "upstream_protocol_error",
            }, where
        if response is not None and way == "whole":
            entry = gateway.journal.of(response.get("X-Request-Id"))
            assert entry["reason"] == case.refuse["reason"], where
        dropped(upstream, ask)


def check_received(case: Case, response: Response, where: str) -> None:
    expected: dict[str, Any] = case.receive or {}
    assert response.version == b"1.1", where
    assert response.status == expected.get("status", 200), where + repr(response.body[:300])
    if "phrase" in expected:
        assert response.reason_phrase == expected["phrase"].encode("latin-1"), where
    assert response.body == expected.get("body", "").encode("latin-1"), where
    if "framing" in expected:
        assert response.framing == expected["framing"], where
    assert [one.status for one in response.interim] == expected.get("interim", []), where
    assert response.trailers == as_fields(expected.get("trailers", [])), where
    if "fields" in expected:
        own = [(name, value) for name, value in response.fields if name.lower() not in WRITTEN]
        assert grouped(own) == grouped(as_fields(expected["fields"])), where
    if "length" in expected:
        assert response.get("Content-Length") == expected["length"], where
    assert response.get("X-Request-Id"), where + "no X-Request-Id"
    assert response.get("Date"), where + "no Date"


@WAYS
@pytest.mark.parametrize("case", LEGAL)
def test_legal(way: str, case: Case, gateway: Gateway, upstream: Upstream, queues: ReceiveQueues) -> None:
    for ask, response, failure in run_all(gateway, upstream, queues, case, ways(case)[way]):
        where = f"{case.rule}: {case.name}, {way}: "
        assert response is not None and not failure, where + failure
        check_received(case, response, where)
        assert ask.connection is not None
        if not case.reused:
            dropped(upstream, ask)
        elif way == "whole":
            with gateway.client() as client:
                assert client.get(f"/again-{case.name}").body == b"ok\n"
            again = upstream.one(f"/again-{case.name}")
            assert upstream.connection_of(again) is ask.connection, where + "the connection was not reused"
