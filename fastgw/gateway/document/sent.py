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
from fastgw.gateway.document.fleet import completed, own_part_of
from fastgw.gateway.document.load import load_plain
from fastgw.gateway.document.model import BASE, UPSTREAM, Document, Plain
from fastgw.gateway.document.unmasking import unmask

# What load_file fills in from the machine: a document that does not say leaves it as it is.
_FILLED_IN = ("instance", "store")


def load_sent(plain: Any, name: str, before: Document) -> Document:
    """The checked document, whose own tests are still to be run; raises ConfigError with all that is wrong. `plain` is
    taken over, and changed; `before` is the document that is served now."""
    if isinstance(plain, dict):
        plain, found = _settled(plain, name, before)
    else:
        found = []
    try:
        document = load_plain(plain, name, False, before)
    except ConfigError as error:
        # What is wrong with a value that is none is said already.
        more = [each for each in error.problems if not any(_holds(each.path, known.path) for known in found)]
        raise ConfigError([*found, *more]) from None
    if found:
        raise ConfigError(found)
    return document


def _holds(block: str, place: str) -> bool:
    """Whether `place` is this one, or in it."""
    return place == block or (block != "" and place.startswith((f"{block}.", f"{block}[")))


def _settled(plain: Plain, name: str, before: Document) -> tuple[Plain, list[Problem]]:
    base: Plain = before.part(BASE)
    for key in _FILLED_IN:
        if plain.get(key) is None and key in base:
            plain[key] = base[key]
    found = [*_of_files(plain, before, base), *unmask(plain, before)]
    problems = [Problem(name, 0, text_of(finding.path), finding.message) for finding in found]
    if before.base.store.kind == "redis" and not problems:
        plain = completed(plain, own_part_of(before), name)
    return plain, problems


def _of_files(plain: Plain, before: Document, base: Plain) -> Iterator[Finding]:
    for pattern, prefix in PATHS:
        for node, key, path in places(plain, pattern, ()):
            value = node[key]
            if not isinstance(value, str) or not value.startswith(prefix) or value in NO_PATHS:
                continue
            rest = value.removeprefix(prefix)
            if rest and not os.path.isabs(rest) and not _same(before, base, path, value):
                yield Finding(path, f"{shown(value)} is relative, and only what stands in a file has a place to start "
                                    f"from; write the whole path, as in {prefix}/path")  # fmt: skip
    for pattern in SECRETS:
        for node, key, path in places(plain, pattern, ()):
            value = node[key]
            if isinstance(value, str) and value.startswith("file:") and not _same(before, base, path, value):
                yield Finding(path, "file: is read where it stands in a file, never in the admin API; "
                                    "write the secret itself")  # fmt: skip


def _same(before: Document, base: Plain, path: Path, value: str) -> bool:
    """A document that is served already may have anything there."""
    old: Any = base
    if path[0] == "upstreams":
        old, path = before.part(f"{UPSTREAM}{path[1]}"), path[2:]
    for step in path:
        if isinstance(old, dict):
            old = old.get(step)
        elif isinstance(old, list) and isinstance(step, int) and step < len(old):
            old = old[step]
        else:
            return False
    return bool(old == value)
