from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench import faults, process
from bench.errors import BenchError
from bench.load import arrivals
from bench.load.arrivals import NONE, Job, Result, Seen
from fastgw.cli.faults.group import Faults
from fastgw.cli.faults.upstream import Upstream

JOB = Job(0, "/x", "/nowhere", seconds=0.2, rate=200, connections=50)


async def load(job: Job, upstream: Upstream) -> Result:
    found = await arrivals.drive(replace(job, port=upstream.door.address[1]))
    return arrivals.parse(json.dumps(found))


async def test_arrivals_come_at_their_rate_and_all_are_seen() -> None:
    async with Faults() as services:
        a = services.upstream("a")
        result = await load(JOB, a)
        assert len(result.seen) == a.counts.requests == 40
        assert result.statuses == {200: 40}
        assert {one.target for one in result.seen} == {"a"}
        began = sorted(one.began for one in result.seen)
        assert 0.1 < began[-1] - began[0] < 1
        assert (result.failed, result.dropped) == (0, 0)


async def test_they_do_not_wait_for_answers_but_for_connections() -> None:
    async with Faults() as services:
        a = services.upstream("a")
        a.tell(mode="delay", ms=400)
        result = await load(replace(JOB, connections=3), a)
        assert len(result.seen) == 3
        assert result.dropped == 37
        assert all(one.took >= 0.39 for one in result.seen)


async def test_a_closed_load_sends_again_with_each_answer_until_it_has_enough() -> None:
    async with Faults() as services:
        a = services.upstream("a")
        result = await load(replace(JOB, rate=0, connections=4, requests=100, seconds=20), a)
        assert 100 <= len(result.seen) < 104
        assert a.counts.connections == 4


async def test_a_closed_load_ends_with_its_time() -> None:
    async with Faults() as services:
        a = services.upstream("a")
        a.tell(mode="delay", ms=20)
        result = await load(replace(JOB, rate=0, connections=2), a)
        assert 2 <= len(result.seen) <= 22


@pytest.mark.parametrize(
    "tell",
    [
        lambda a: a.tell(mode="cut", at="head", how="reset"),
        lambda a: a.tell(mode="halve"),
        lambda a: a.tell(mode="refuse"),
    ],
    ids=["reset", "halved", "refused"],
)
async def test_what_is_no_whole_answer_is_none(tell: Callable[[Upstream], None]) -> None:
    async with Faults() as services:
        a = services.upstream("a")
        tell(a)
        result = await load(JOB, a)
        assert result.statuses == {NONE: 40}
        assert result.failed == 40


async def test_a_refusal_says_when_to_come_back() -> None:
    async with Faults() as services:
        a = services.upstream("a")
        a.tell(mode="status", status=503, retry_after=7)
        result = await load(JOB, a)
        assert result.statuses == {503: 40}
        assert {one.retry_after for one in result.seen} == {7}


async def test_no_two_requests_have_the_same_id_and_bodies_are_sent_whole() -> None:
    async with Faults() as services:
        a = services.upstream("a")
        await load(replace(JOB, method="POST", body=3000), a)
        assert a.counts.methods == {"POST": 40}
        assert (len(a.deliveries.as_json()["examples"]), a.deliveries.as_json()["ids"]) == (0, 40)


def test_reasons_are_those_of_problem_documents() -> None:
    assert arrivals.reason_of(b'{"reason": "breaker_open"}') == "breaker_open"
    for body in (b"<html>", b"[]", b"", b"{}"):
        assert arrivals.reason_of(body) == ""


def test_stretches_and_percentiles() -> None:
    result = Result(100.0, [Seen(0.5, 0.001, 200), Seen(1.5, 0.003, 503), Seen(1.6, 0.002, 200)])
    late = result.between(1.0, 2.0)
    assert (len(late.seen), late.failed) == (2, 1)
    assert late.milliseconds(0.5, 200) == pytest.approx(2.0)
    assert late.milliseconds(0.99) == pytest.approx(3.0)
    assert late.milliseconds(0.5, 404) == 0


def test_a_load_without_requests_is_none() -> None:
    with pytest.raises(BenchError, match="no request"):
        arrivals.parse('{"began": 1, "dropped": 0, "seen": []}')


def test_in_a_process_of_its_own(tmp_path: Path) -> None:
    job = replace(
        JOB, port=1, output=str(tmp_path / "out.json"), seconds=0.1, rate=50
    )  # nobody listens there
    result = arrivals.start(job, (0,)).finish()
    assert result.statuses == {NONE: 5}


def test_on_the_loop_of_that_process(tmp_path: Path) -> None:
    running = process.spawn("faults", faults.argv(["a"]), (0,), tmp_path / "output.log")
    try:
        port = int(faults.started(running).addresses["a"].rpartition(":")[2])
        job = replace(JOB, port=port, output=str(tmp_path / "out.json"))
        assert arrivals.start(job, (0,)).finish().statuses == {200: 40}
        closed = replace(job, rate=0, connections=8, requests=500, seconds=20)
        assert arrivals.start(closed, (0,)).finish().statuses[200] >= 500
    finally:
        process.stop(running)
