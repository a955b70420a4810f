"""What the gateway forwarded is what it matched, and nothing else came out of the bytes that went in."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import note
from hypothesis import strategies as st

from tests.fuzz.reference import Expected, Reading, read_all
from tests.fuzz.requests import mutated, requests, streams, targets
from tests.support import corpus
from tests.support.client import request
from tests.support.consumed import ReceiveQueues
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream
from tests.support.wire import Cut, Request, Response, TimedOut, wait_for

HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
Search = Callable[[st.SearchStrategy[Any], Callable[[Any], None]], None]


class Conversation:
    """Send a stream of bytes on a connection of its own; compare what came back and what came through."""

    def __init__(self, gateway: Gateway, upstream: Upstream, queues: ReceiveQueues) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self.queues = queues

    def run(self, parts: list[bytes]) -> None:
        data = b"".join(parts)
        reading = read_all(data)
        note(f"sent {parts}\nreference: {len(reading.messages)} messages, then {reading.end}")
        before = len(self.upstream.requests)
        answers = self.ask(parts, reading)
        whole = [one for one in self.upstream.requests[before:] if one.complete]
        self.upstream.check()
        self.compare(reading, answers, whole)

    def ask(self, parts: list[bytes], reading: Reading) -> list[Response]:
        """As many answers as the reference expects; fewer only if the gateway closed."""
        answers: list[Response] = []
        with self.gateway.client(timeout=3.0) as client:
            client.send_parts([part for part in parts if part], self.queues)
            try:
                for message in reading.messages:
                    answers.append(client.read(message.method.decode()))
                    if answers[-1].get("Connection") == "close":
                        return answers
                if reading.end == "refused":
                    answers.append(client.read())
                    assert client.closed(), "refused, but the connection stays open"
                elif reading.end == "unclear":
                    client.stream.timeout = 0.01
                    answers.append(client.read())
            except Cut as cut:
                assert not cut.got, f"cut within an answer: {cut}"
            except TimedOut as late:
                assert reading.end == "unclear" and len(answers) == len(reading.messages), (
                    f"no answer: {late}"
                )
        return answers

    def compare(self, reading: Reading, answers: list[Response], whole: list[Request]) -> None:
        passed = 0
        for message, answer in itertools.zip_longest(reading.messages, answers):
            if message is None:
                assert answer.status in {400, 413, 414, 431, 505}, f"{answer.status} for what must be refused"
                break
            assert answer is not None, f"no answer to {message}"
            if answer.status != 200:
                assert message.doubt, f"{answer.status} {answer.body[:200]!r} for {message}"
                if answer.get("Connection") == "close":
                    break
                continue
            assert passed < len(whole), f"answered, but never forwarded: {message}"
            self.compare_one(message, whole[passed])
            passed += 1
        assert len(whole) == passed, (
            f"{len(whole)} requests came out of {passed}: {[one.line for one in whole]}"
        )

    def compare_one(self, message: Expected, got: Request) -> None:
        assert got.method == message.method
        assert got.target == message.target
        assert got.body == message.body
        assert got.trailers == message.trailers or not message.trailers
        named = {
            one.strip(b" \t").lower()
            for name, value in message.fields
            if name.lower() == b"connection"
            for one in value.split(b",")
        }
        forwarded = {name.lower() for name, _ in got.fields}
        assert not forwarded & (named - {b"", b"keep-alive", b"close", b"upgrade", b"te"}), (
            "a named field went through"
        )
        assert not [name for name in forwarded if b"_" in name]
        assert got.get("X-Route") == naive_route(got), f"matched {got.get('X-Route')}, forwarded {got.line!r}"


def naive_route(got: Request) -> str:
    """The route of what the upstream received, found by looking at it."""
    path = got.target.split(b"?")[0].decode("latin-1")
    segments = path.split("/")[1:]
    host = (got.get("Host") or "").partition(":")[0].lower()
    if host == "other.example":
        return "other-host"
    if path == "/admin/exact":
        return "admin-exact"
    if len(segments) == 3 and segments[0] == "public" and segments[1] and segments[2] == "item":
        return "public-item"
    if segments[0] == "admin":
        return "deletes" if got.method == b"DELETE" else "admin"
    return "public" if segments[0] == "public" else "rest"


@pytest.fixture(scope="module")
def talk(gateway: Gateway, upstream: Upstream, queues: ReceiveQueues) -> Conversation:
    return Conversation(gateway, upstream, queues)


def test_streams_of_requests(search: Search, talk: Conversation) -> None:
    search(streams(), talk.run)


def test_targets(search: Search, talk: Conversation) -> None:
    hosts = st.sampled_from(["test.example", "test.example", "other.example"])
    search(
        st.tuples(targets(), st.sampled_from(["GET", "DELETE"]), hosts),
        lambda drawn: talk.run([request(drawn[0], method=drawn[1], host=drawn[2])]),
    )


def test_requests_with_wild_targets(search: Search, talk: Conversation) -> None:
    search(mutated(requests(wild_targets=True)), lambda data: talk.run([data]))


def test_mutations_of_the_corpus(search: Search, talk: Conversation) -> None:
    names = [
        "request_framing_refused",
        "request_heads_refused",
        "request_heads_legal",
        "request_framing_legal",
    ]
    cases = [
        case.bytes("abcd1234") for name in names for case in corpus.load(name) if len(case.template) < 700
    ]
    search(mutated(st.sampled_from(cases), 5), lambda data: talk.run([data]))


def test_the_gateway_is_as_it_was(talk: Conversation, gateway: Gateway) -> None:
    """After all of that nothing is left in flight."""
    wait_for(lambda: gateway.metrics().sum("fastgw_in_flight") == 0, what="nothing in flight", every=0.05)
    wait_for(lambda: gateway.metrics().sum("fastgw_connections") == 0, what="no connection", every=0.05)
