"""The script on a real server, against a model of it, at times of our choosing."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from math import floor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastgw.limiter import script
from tests.support.valkey import Valkey

START = 1_700_000_000_000_000
AT = "tonumber(redis.call('GET', 'now'))"

Bucket = tuple[str, float, float]  # key, rate, burst
Use = tuple[int, bool]  # number of the bucket, shadow


@dataclass
class Step:
    later: int  # microseconds since the last
    buckets: list[Bucket]
    decisions: list[list[Use]]
    leases: list[tuple[int, int]] = field(default_factory=list)


class Model:
    """What the script must do, in as few words as possible."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[float, int]] = {}

    def run(self, now: int, step: Step) -> list[Any]:
        tokens, changed = [], set()
        for number, (key, rate, burst) in enumerate(step.buckets):
            left, stamp = self.kept.get(key, (burst, now))
            if stamp > now:
                changed.add(number)
            else:
                left += (now - stamp) * rate / 1_000_000
            tokens.append(min(left, burst))
        outcomes = ""
        for decision in step.decisions:
            admitted = all(shadow or tokens[number] >= 1 for number, shadow in decision)
            for number, _ in decision:
                has = tokens[number] >= 1
                outcomes += "1" if has else "0"
                if admitted and has:
                    tokens[number] -= 1
                    changed.add(number)
        granted = []
        for number, wanted in step.leases:
            take = min(wanted, floor(tokens[number]))
            granted.append(take)
            if take:
                tokens[number] -= take
                changed.add(number)
        for number in changed:
            self.kept[step.buckets[number][0]] = (tokens[number], now)
        return [outcomes.encode(), *(floor(left * 1_000_000) for left in tokens), *granted]


class Server:
    def __init__(self, valkey: Valkey) -> None:
        self.client = valkey.client()
        self.client.flushall()
        self.sha = self.client.script_load(script.source(AT))

    def run(self, now: int, step: Step) -> list[Any]:
        self.client.set("now", now)
        program = b"".join(
            b"".join((b"\xff" if shadow else b"") + bytes([number + 1]) for number, shadow in decision)
            + b"\0"
            for decision in step.decisions
        )
        answer = self.client.evalsha(
            self.sha,
            len(step.buckets),
            *(key for key, _, _ in step.buckets),
            *(script.spec(rate, burst) for _, rate, burst in step.buckets),  # type: ignore[arg-type]
            program,  # type: ignore[arg-type]
            *(number for number, wanted in step.leases for number in (number + 1, wanted)),  # type: ignore[arg-type]
        )
        assert isinstance(answer, list)
        return answer

    def kept(self) -> dict[str, bytes]:
        values = self.client.mget(NAMES)
        return {name: value for name, value in zip(NAMES, values, strict=True) if value is not None}  # type: ignore[arg-type]


@pytest.fixture
def server(valkey: Valkey) -> Server:
    return Server(valkey)


NAMES = ["b1", "b2", "b3", "b4"]
RATES = (0.001, 0.5, 1.0, 7.3, 100.0, 12_345.6)
BURSTS = (1.0, 2.0, 5.0, 100.0)
BUCKETS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(RATES), st.sampled_from(BURSTS)),
    min_size=1,
    max_size=4,
    unique_by=lambda bucket: bucket[0],
)


@st.composite
def steps(draw: st.DrawFn) -> Step:
    buckets = draw(BUCKETS)
    number = st.integers(0, len(buckets) - 1)
    uses = st.lists(st.tuples(number, st.booleans()), min_size=1, max_size=4, unique_by=lambda use: use[0])
    return Step(
        # Mostly forward; now and then the clock goes back, as after a failover.
        later=draw(st.one_of(st.integers(0, 2_000_000), st.integers(-3_000_000, 90_000_000))),
        buckets=buckets,
        decisions=draw(st.lists(uses, max_size=8)),
        leases=draw(
            st.lists(st.tuples(number, st.integers(1, 30)), max_size=2, unique_by=lambda pair: pair[0])
        ),
    )


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(schedule=st.lists(steps(), min_size=1, max_size=12))
def test_the_script_does_what_the_model_does(server: Server, schedule: list[Step]) -> None:
    server.client.flushdb()
    model, now = Model(), START
    for step in schedule:
        now += step.later
        answer = server.run(now, step)
        assert answer == model.run(now, step)
        # As written: the same doubles, and nothing that the model did not write.
        assert server.kept() == {key: struct.pack("<dd", *kept) for key, kept in model.kept.items()}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rate=st.sampled_from(RATES),
    burst=st.sampled_from(BURSTS),
    pauses=st.lists(st.one_of(st.integers(0, 3_000), st.integers(0, 400_000)), min_size=5, max_size=40),
    lease=st.integers(0, 9),
)
def test_never_more_than_rate_times_time_and_burst(
    server: Server, rate: float, burst: float, pauses: list[int], lease: int
) -> None:
    server.client.flushdb()
    now, admitted = START, 0
    for pause in pauses:
        now += pause
        answer = server.run(
            now, Step(0, [("b", rate, burst)], [[(0, False)]] * 3, [(0, lease)] if lease else [])
        )
        admitted += answer[0].count(b"1") + sum(answer[2:])
        assert admitted <= burst + rate * (now - START) / 1e6 + 1e-6


def test_overload_keeps_its_full_rate(server: Server) -> None:
    """200/s with a burst of 100, asked 2,000 times a second for 10 s: what peers that charge refusals give is 200."""
    admitted = 0
    for turn in range(1000):
        step = Step(0, [("b", 200.0, 100.0)], [[(0, False)]] * 20)
        admitted += server.run(START + turn * 10_000, step)[0].count(b"1")
    assert 2098 <= admitted <= 2100


def test_a_refusal_writes_nothing(server: Server) -> None:
    buckets = [("b1", 1.0, 1.0), ("b2", 1.0, 9.0), ("b3", 1.0, 9.0)]
    server.run(START, Step(0, buckets, [[(0, False)]]))
    before = server.kept()
    # A pair with an empty bucket, and one whose shadow has tokens: none of it is charged.
    answer = server.run(START + 5, Step(0, buckets, [[(1, False), (0, False)], [(0, False), (2, True)]]))
    assert answer[0] == b"1001"
    assert server.kept() == before


def test_a_shadow_never_refuses_and_is_charged_only_where_it_has_a_token(server: Server) -> None:
    buckets = [("b1", 1.0, 9.0), ("b2", 1.0, 1.0)]
    answer = server.run(START, Step(0, buckets, [[(0, False), (1, True)]] * 3))
    assert answer == [b"111010", 6_000_000, 0]


def test_a_clock_that_goes_back_neither_locks_out_nor_gives_more_than_the_burst(server: Server) -> None:
    bucket = [("b", 10.0, 5.0)]
    drain = Step(0, bucket, [[(0, False)]] * 6)
    assert server.run(START, drain)[0] == b"111110"
    hour_ago = START - 3_600_000_000
    assert server.run(hour_ago, drain)[0] == b"000000"
    assert server.run(hour_ago + 100_000, drain)[0] == b"100000"
    assert server.run(hour_ago + 60_000_000, drain)[0] == b"111110"


def test_a_bucket_shared_by_two_tiers_counts_tokens_not_time(server: Server) -> None:
    slow, fast = [("b", 1.0, 10.0)], [("b", 100.0, 10.0)]
    server.run(START, Step(0, slow, [[(0, False)]] * 10))
    assert server.run(START, Step(0, fast, [[(0, False)]]))[0] == b"0"
    assert server.run(START + 50_000, Step(0, fast, [[(0, False)]] * 6))[0] == b"111110"
    assert server.run(START + 50_000, Step(0, slow, [[(0, False)]]))[0] == b"0"


def test_buckets_die_when_they_are_full_again(server: Server) -> None:
    server.run(START, Step(0, [("b", 2.0, 10.0)], [[(0, False)]] * 6))
    life = server.client.pttl("b")
    assert 3_000 < life <= 4_000  # 6 tokens at 2/s, and a second


def test_a_very_slow_bucket_has_a_legal_life(server: Server) -> None:
    server.run(START, Step(0, [("b", 1 / 86400, 1e9)], [[(0, False)]]))
    assert server.client.pttl("b") > 0
    server.run(START, Step(0, [("c", 1 / 86400, 1e9)], [[(0, False)]], [(0, 900_000_000)]))
    assert server.client.pttl("c") > 10**12


@pytest.mark.parametrize("foreign", [b"", b"1", b"x" * 15, b"x" * 17, struct.pack("<dd", float("nan"), 0.0)])
def test_what_is_no_bucket_counts_as_a_full_one(server: Server, foreign: bytes) -> None:
    server.client.set("b", foreign)
    assert server.run(START, Step(0, [("b", 1.0, 2.0)], [[(0, False)]] * 3))[0] == b"110"


def test_a_key_of_another_type_is_replaced(server: Server) -> None:
    server.client.rpush("b", "x")
    assert server.run(START, Step(0, [("b", 1.0, 2.0)], [[(0, False)]] * 3))[0] == b"110"


def test_a_full_command_of_the_largest_size(server: Server) -> None:
    buckets = [(f"b{number}", 1.0, 1.0) for number in range(script.MAX_BUCKETS)]
    step = Step(
        0, buckets, [[(number, False), (number + 1, True)] for number in range(0, script.MAX_BUCKETS, 2)]
    )
    assert server.run(START, step) == Model().run(START, step)


def test_the_time_is_the_servers(valkey: Valkey) -> None:
    client = valkey.client()
    client.eval(script.TEXT.decode(), 1, "b", script.spec(1.0, 9.0), b"\1\0")  # type: ignore[arg-type]
    kept = client.get("b")
    assert isinstance(kept, bytes)
    tokens, stamp = struct.unpack("<dd", kept)
    seconds, _ = client.time()  # type: ignore[misc]
    assert tokens == 8.0
    assert abs(stamp / 1e6 - seconds) < 5
    assert client.script_load(script.TEXT).encode() == script.SHA  # type: ignore[union-attr]
