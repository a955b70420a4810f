from __future__ import annotations

import pytest

from bench import profile
from bench.cases.chain import WHOLE

STRACE = """% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 61.20    0.120000           5     24000           write
 30.10    0.060000           2     25000      1000 read
  8.70    0.017000           3      6000           epoll_wait
------ ----------- ----------- --------- --------- ----------------
100.00    0.197000           3     55000      1000 total
"""


def test_system_calls_are_counted_with_and_without_errors() -> None:
    assert profile.parse_strace(STRACE) == {"write": 24000, "read": 25000, "epoll_wait": 6000}


@pytest.mark.parametrize("name", profile.FORBIDDEN)
def test_anything_forbidden_per_request_is_found(name: str) -> None:
    assert profile.broken({name: 1.0, "call_soon": 2.0}) == {name: 1.0}


def test_ticks_and_new_connections_are_no_offence() -> None:
    assert profile.broken({"call_later": 0.0004, "create_task": 0.001, "call_soon": 1.0}) == {}


def test_the_chain_brings_its_policies_and_its_tokens() -> None:
    assert profile.subject("plain").wanted.policies is None
    chain = profile.subject("chain")
    assert chain.wanted.policies == WHOLE
    assert chain.load.bearer(0).count(".") == 2
