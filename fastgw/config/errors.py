"""What is wrong with a configuration: places and words. All problems of a file travel in one exception."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

MAX_SHOWN = 60  # characters of a value that a message repeats
# Before the last @ of a URL: a password, also where no URL should stand. Messages go to logs.
_USERINFO = re.compile(r"(?<=://)(?!/).*(?=@)")


@dataclass(frozen=True, slots=True)
class Problem:
    """`line` is 0 where there is no line to name (a missing file, a document out of the store)."""

    file: str
    line: int
    path: str  # `routes[2].match.path`; empty for the file as a whole
    message: str  # what is wrong, and what would be right

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class ConfigError(Exception):
    """The document is refused; `problems` says everything that is wrong with it, in order of lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[Problem, ...]]]:
        # Exception's own way would call the constructor with the text.
        return type(self), (self.problems,)


def shown(value: object) -> str:
    """A value as an operator would write it, cut short."""
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif value is None:
        text = "nothing"
    elif isinstance(value, str):
        value = _USERINFO.sub("********", value)
        text = '"' + "".join(_visible(character) for character in value[: MAX_SHOWN + 1]) + '"'
    elif isinstance(value, dict):
        text = "a mapping"
    elif isinstance(value, list):
        text = "a list"
    else:
        text = str(value)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "..."


def kind_of(value: object) -> str:
    """For what has the wrong shape: as `shown`, but text is not repeated, since it may be a secret that stands one level
    too high."""
    return "text" if isinstance(value, str) else shown(value)


def _visible(character: str) -> str:
    return character if character.isprintable() else f"\\x{ord(character):02x}"


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?`, or which words there are when they are few, or nothing."""
    words = list(known)
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if near:
        return f'; did you mean "{near[0]}"?'
    if 0 < len(words) <= 30:
        return "; there is: " + ", ".join(words)
    return ""
