"""The admin address's /metrics as numbers. Parsed here by hand: the tests must not share the renderer's
library."""

from __future__ import annotations

import re
from dataclasses import dataclass

SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: \d+)?")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Sample:
    name: str
    labels: dict[str, str]
    value: float


class Metrics:
    def __init__(self, text: str) -> None:
        self.samples: list[Sample] = []
        for line in text.splitlines():
            if not line or line.startswith("#"):
                continue
            matched = SAMPLE.fullmatch(line)
            assert matched, f"not a sample: {line!r}"
            self.samples.append(Sample(matched[1], dict(LABEL.findall(matched[2] or "")), float(matched[3])))

    def select(self, name: str, **labels: str) -> list[Sample]:
        return [
            one
            for one in self.samples
            if one.name == name and all(one.labels.get(key) == value for key, value in labels.items())
        ]

    def sum(self, name: str, **labels: str) -> float:
        return sum(one.value for one in self.select(name, **labels))
