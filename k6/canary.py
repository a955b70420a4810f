"""A split between two upstreams that reloads shift: its configurations, and whether each part had its share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bench.sides import faulty
from bench.sides.faulty import Behind
from bench.sides.side import Command, Plan
from bench.sides.table import OURS
from k6.verdicts import Verdict

STABLE, NEXT = "stable", "next"
SHARES = (5, 50, 100)  # percent of the next version, one after the other
SIGMAS = 4.0  # of a draw for each request; a correct split misses that once in 16,000 rounds
LEAST_BOUND = 1.0  # percentage points


def render(kind: str, text: str, behind: Behind, following: str, share: int) -> str:
    """`text`: the configuration with all of it at `behind`; `following`: the address of the next version."""
    if kind == OURS:
        return _replaced(
            text,
            ("upstream: faulty}", f"split: {{faulty: {100 - share}, next: {share}}}}}"),
            ("  faulty:\n", f"  next:\n    targets: [http://{following}]\n  faulty:\n"),
        )
    parts = f"{share}% next; * faulty;" if share < 100 else "* next;"
    split = f'  split_clients "$request_id" $behind {{ {parts} }}\n'
    upstream = f"  upstream next {{ server {following}; keepalive 256; keepalive_requests 1000000000; }}\n"
    return _replaced(
        text,
        ("proxy_pass http://faulty;", "proxy_pass http://$behind;"),
        ("  upstream faulty {", f"{split}{upstream}  upstream faulty {{"),
    )


def _replaced(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        if text.count(old) != 1:
            raise ValueError(f"{old!r} is {text.count(old)} times in the configuration")
        text = text.replace(old, new)
    return text


@dataclass(frozen=True)
class CanaryWriter:
    """A writer of a side, as those in bench/sides."""

    kind: str
    addresses: Mapping[str, str]
    share: int

    def __call__(self, plan: Plan) -> Command:
        behind = Behind((self.addresses[STABLE],))
        command = faulty.writer(self.kind, behind)(plan)
        command.config.write_text(
            render(self.kind, command.config.read_text(), behind, self.addresses[NEXT], self.share)
        )
        return command


def shares(counts: Mapping[int, tuple[int, int]]) -> list[Verdict]:
    """`counts`: share -> requests that stable and next got while it was served."""
    found = []
    for share, (stable, following) in counts.items():
        total, wanted = stable + following, share / 100
        off = abs(following / total - wanted) * 100 if total else float("inf")
        noise = SIGMAS * math.sqrt(wanted * (1 - wanted) / max(1, total)) * 100
        bound = max(LEAST_BOUND, noise) if share < 100 else 0.0
        found.append(Verdict(f"{share} %: off by", off, bound, "points"))
    return found
