"""A document that came through the admin API, made ready to be checked: masks become what they stand for, and what only
a file can have is refused.

Nothing is expanded or read here: `${X}` is these four characters, and a path leads nowhere but from the root.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from fastgw.config.errors import ConfigError, Problem, shown
from fastgw.config.findings import Finding
from fastgw.config.paths import Path, text_of
from fastgw.gateway.document.files import NO_PATHS, PATHS, SECRETS, places
from fastgw.gateway.document.load import load_plain
from fastgw.gateway.document.model import Document, Plain
from fastgw.gateway.document.unmasking import unmask

# What load_file fills in from the machine: a document that does not say leaves it as it is.
_FILLED_IN = ("instance", "store")


def load_sent(plain: Any, name: str, before: Plain) -> Document:
    """The checked document; raises ConfigError with all that is wrong. `plain` is taken over, and changed; `before` is
    the document that is served now."""
    found = settle(plain, before) if isinstance(plain, dict) else []
    if not found:
        return load_plain(plain, name)
    problems = [Problem(name, 0, text_of(finding.path), finding.message) for finding in found]
    try:
        load_plain(plain, name)
    except ConfigError as error:
        # What is wrong with a value that is none is said already.
        known = {problem.path for problem in problems}
        problems += [problem for problem in error.problems if problem.path not in known]
    raise ConfigError(problems)


def settle(plain: Plain, before: Plain) -> list[Finding]:
    """In `plain` itself."""
    for key in _FILLED_IN:
        if plain.get(key) is None and key in before:
            plain[key] = before[key]
    return [*_of_files(plain, before), *unmask(plain, before)]


def _of_files(plain: dict[str, Any], before: dict[str, Any]) -> Iterator[Finding]:
    for pattern, prefix in PATHS:
        for node, key, path in places(plain, pattern, ()):
            value = node[key]
            if not isinstance(value, str) or not value.startswith(prefix) or value in NO_PATHS:
                continue
            rest = value.removeprefix(prefix)
            if rest and not os.path.isabs(rest) and not _same(before, path, value):
                yield Finding(path, f"{shown(value)} is relative, and only what stands in a file has a place to start "
                                    f"from; write the whole path, as in {prefix}/path")  # fmt: skip
    for pattern in SECRETS:
        for node, key, path in places(plain, pattern, ()):
            value = node[key]
            if isinstance(value, str) and value.startswith("file:") and not _same(before, path, value):
                yield Finding(path, "file: is read where it stands in a file, never in the admin API; "
                                    "write the secret itself")  # fmt: skip


def _same(before: Any, path: Path, value: str) -> bool:
    """A document that is served already may have anything there."""
    for step in path:
        if isinstance(before, dict):
            before = before.get(step)
        elif isinstance(before, list) and isinstance(step, int) and step < len(before):
            before = before[step]
        else:
            return False
    return bool(before == value)
