"""The reference reads the corpus as the corpus says: two texts about the same rules, held against each other."""

from __future__ import annotations

import pytest

from tests.fuzz.reference import read_all
from tests.support.corpus import load

REFUSED = ["request_framing_refused", "request_heads_refused", "request_targets_refused"]
LEGAL = ["request_framing_legal", "request_heads_legal", "request_targets_legal"]


@pytest.mark.parametrize("case", [pytest.param(c, id=f"{n}:{c.name}") for n in REFUSED for c in load(n)])
def test_refused(case) -> None:
    reading = read_all(case.bytes("abcd1234"))
    assert reading.end in {"refused", "unclear"} or any(one.doubt for one in reading.messages)


@pytest.mark.parametrize("case", [pytest.param(c, id=f"{n}:{c.name}") for n in LEGAL for c in load(n)])
def test_legal(case) -> None:
    reading = read_all(case.bytes("abcd1234"))
    assert reading.end == "clean"
    (message,) = reading.messages
    if "line" in case.receive:
        line = b" ".join([message.method, message.target, b"HTTP/1.1"])
        assert line == case.receive["line"].encode("latin-1").replace(b"@ID@", b"abcd1234")
    assert message.body == case.receive.get("body", "").encode("latin-1")
