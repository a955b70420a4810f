"""The corpus: YAML files of byte strings, in tests/wire/corpus/.

A file is a list of groups: a rule, what all its cases share, and the cases by name. A case is a string, a
list of strings and `{repeat: STRING, times: N}`, or a mapping with keys of its own; its bytes are `before`
+ `send` + `after` (one byte per character, so "\\x00" and "\\xff" work). `@ID@` in them becomes eight
characters that are different each time a case is sent, so that what the upstream received can be found.
Keys: see the fields of Case."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parents[1] / "wire" / "corpus"
MARK = b"@ID@"

GROUP_KEYS = {"rule", "before", "after", "cases"}
CASE_KEYS = {"send", "refuse", "receive", "early", "request", "then", "reply", "sample", "reused"}


@dataclass
class Case:
    name: str
    rule: str
    template: bytes
    refuse: dict[str, Any] | None = None  # status, reason (a token or a list of them)
    receive: dict[str, Any] | None = None  # what must come out at the other side
    early: bool = False  # refused on arrival of its last byte, without the end of the head
    request: dict[str, Any] = field(default_factory=dict)  # answers: what the client asks
    then: str = "keep"  # answers: keep | close
    reply: dict[str, Any] = field(default_factory=dict)  # requests: what the client gets, where it matters
    sample: bool = False  # split at about forty places instead of everywhere
    reused: bool = True  # answers: whether the upstream connection may serve another request

    def bytes(self, mark: str) -> bytes:
        assert len(mark) == 8
        return self.template.replace(MARK, mark.encode())

    @property
    def marked(self) -> bool:
        return MARK in self.template

    def reasons(self) -> list[str]:
        assert self.refuse is not None
        reason = self.refuse["reason"]
        return reason if isinstance(reason, list) else [reason]

    def offset_list(self) -> list[int]:
        """Where to split: everywhere, or about forty places, the ends among them, of a long case."""
        length = len(self.bytes("00000000"))
        if not self.sample and length <= 700:
            return list(range(1, length))
        step = max(1, length // 24)
        near = [*range(1, 9), *range(length - 8, length)]
        return sorted({*near, *range(step, length, step)})


def to_bytes(parts: list[Any] | str) -> bytes:
    if isinstance(parts, str):
        return parts.encode("latin-1")
    whole = b""
    for part in parts:
        if isinstance(part, str):
            whole += part.encode("latin-1")
        else:
            whole += str(part["repeat"]).encode("latin-1") * int(part["times"])
    return whole


def load(name: str) -> list[Case]:
    """The cases of corpus/NAME.yaml."""
    cases = []
    for group in yaml.safe_load((FOLDER / f"{name}.yaml").read_text()):
        shared = {key: value for key, value in group.items() if key not in GROUP_KEYS}
        for case_name, raw in group["cases"].items():
            own = raw if isinstance(raw, dict) else {"send": raw}
            merged = {**shared, **own}
            assert set(merged) <= CASE_KEYS, f"{name}: {case_name}: unknown keys {set(merged) - CASE_KEYS}"
            send = (
                to_bytes(group.get("before", ""))
                + to_bytes(merged.pop("send"))
                + to_bytes(group.get("after", ""))
            )
            case = Case(case_name, group["rule"], send, **merged)
            assert (case.refuse is None) != (case.receive is None), f"{name}: {case_name}: refuse or receive?"
            cases.append(case)
    names = [case.name for case in cases]
    assert len(names) == len(set(names)), f"{name}: a name is used twice"
    return cases


def marks() -> Iterator[str]:
    """Eight characters each, never the same twice in one run."""
    return (f"{number:08x}" for number in itertools.count(0x10000000))
