"""A document as masking.py shows it, sent back: where the mask stands, the secret that was there before is meant.

A place is known by names, not by positions: an issuer, an upstream, a route, a consumer, a header. A mask where nothing
was before is an error, never a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

from fastgw.config.findings import Finding
from fastgw.config.paths import Path
from fastgw.gateway.document.files import SECRETS, places
from fastgw.gateway.document.masking import (
    DIGEST_MASK,
    DIGESTS,
    HEADERS,
    MASK,
    PRIVATE_KEYS,
    URLS,
    is_sensitive,
    key_header,
    mask_of_key,
    without_password,
)
from fastgw.gateway.document.model import BASE, ROUTE, UPSTREAM, Document, canonical

_NOTHING: Final = f'"{MASK}" stands for a value that is there already, and here is none; write the value itself'

# The key's field is no longer known as one: what was hidden in it would be shown to whoever reads the document.
_UNCOVERED: Final = f'"{MASK}" stands for a value that api_keys.header would hide no more; write the value itself'


def unmask(plain: dict[str, Any], before: Document) -> Iterator[Finding]:
    """Puts the secrets of `before` in the place of their masks, in `plain` itself."""
    twins = _Twins(plain, before)
    for pattern in (*SECRETS, PRIVATE_KEYS):
        for node, key, path in places(plain, pattern, ()):
            if node[key] == MASK:
                yield from _put(node, key, path, twins.at(path))
    # As it was shown, by either name of the field of API keys.
    hidden = {key_header(plain)}
    named = {*hidden, key_header(twins.base)}
    for fields, place in _header_maps(plain):
        for key, value in fields.items():
            if value == MASK and is_sensitive(str(key), named):
                path = (*place, key)
                if is_sensitive(str(key), hidden):
                    yield from _put(fields, key, path, twins.header(path))
                else:
                    yield Finding(path, _UNCOVERED)
    for pattern in URLS:
        for node, key, path in places(plain, pattern, ()):
            if isinstance(node[key], str) and MASK in node[key]:
                yield from _put_url(node, key, path, twins.at(path))
    for node, key, path in places(plain, DIGESTS, ()):
        if isinstance(node[key], str) and node[key].startswith(DIGEST_MASK):
            yield from _put_key(node, key, path, twins.at(path[:-1]))


def _header_maps(plain: dict[str, Any]) -> Iterator[tuple[dict[Any, Any], Path]]:
    """What HEADERS leads to, block by block: `places` takes four times as long, 60 ms for 10,000 routes."""
    for block, *steps in (pattern[:-1] for pattern in HEADERS):
        listed = plain.get(block)
        for number, entry in enumerate(listed if isinstance(listed, list) else ()):
            node: Any = entry
            for step in steps[1:]:
                node = node.get(step) if isinstance(node, dict) else None
                if node is None:
                    break
            if isinstance(node, dict):
                yield node, (block, number, *steps[1:])


def _put(node: Any, key: Any, path: Path, secret: object) -> Iterator[Finding]:
    # An empty secret is none: it is shown as it is.
    if not secret:
        yield Finding(path, _NOTHING)
    else:
        node[key] = secret


def _put_url(node: Any, key: Any, path: Path, url: object) -> Iterator[Finding]:
    """Only where the rest is as it was: a password goes to no other place than the one that it was given for."""
    if isinstance(url, str) and without_password(url) == node[key]:
        node[key] = url
    else:
        yield Finding(path, f'"{MASK}" stands for the password of the same URL, and this one is another; '
                            "write it with its password")  # fmt: skip


def _put_key(node: Any, key: Any, path: Path, keys: object) -> Iterator[Finding]:
    known = keys if isinstance(keys, list) else []
    meant = [each for number, each in enumerate(known) if mask_of_key(number, len(known)) == node[key]]
    if meant:
        node[key] = meant[0]
    elif known:
        masks = " and ".join(mask_of_key(number, len(known)) for number in range(min(len(known), 2)))
        yield Finding(path, "which key of this consumer is meant cannot be seen; write it as it is shown "
                            f"({masks} here), or the digest itself")  # fmt: skip
    else:
        yield Finding(path, "this consumer had no key that the mask could stand for; write the key's digest")


class _Twins:
    """Values of the document before, by the names of what they are in. Only the parts that are asked for are read: most
    documents that are sent hold few masks."""

    def __init__(self, plain: dict[str, Any], before: Document) -> None:
        self._plain = plain
        self._before = before
        self.base: dict[str, Any] = before.part(BASE)
        # By list: for each entry of it the one before that it is.
        self._entries: dict[str, dict[int, Any]] = {}

    def at(self, path: Path) -> Any:
        """What was at this place; None: nothing."""
        first = str(path[0])
        old: Any
        if first == "upstreams":
            old, rest = self._before.part(f"{UPSTREAM}{path[1]}"), path[2:]
        elif first == "routes":
            entry = self._plain["routes"][path[1]]
            name = entry.get("name") if isinstance(entry, dict) else None
            old, rest = self._before.part(f"{ROUTE}{name}"), path[2:]
        elif len(path) > 1 and isinstance(path[1], int):
            old, rest = self._entry(first, path[1]), path[2:]
        else:
            old, rest = self.base, path
        for step in rest:
            if not isinstance(old, dict):
                return None
            old = old.get(step)
        return old

    def header(self, path: Path) -> Any:
        """By name in any case, as headers have them."""
        fields = self.at(path[:-1])
        if not isinstance(fields, dict):
            return None
        name = str(path[-1])
        if name in fields:
            return fields[name]
        return next((value for key, value in fields.items() if str(key).lower() == name.lower()), None)

    def _entry(self, block: str, number: int) -> Any:
        if block not in self._entries:
            old, new = _listed(self.base, block), _listed(self._plain, block)
            named = {key_header(self._plain), key_header(self.base)}
            self._entries[block] = _same_tests(old, new, named) if block == "tests" else _same_names(old, new)
        return self._entries[block].get(number)


def _listed(plain: dict[str, Any], block: str) -> list[Any]:
    entries = plain.get(block)
    return entries if isinstance(entries, list) else []


def _same_names(old: list[Any], new: list[Any]) -> dict[int, Any]:
    known = {name: entry for entry in old if (name := _word(entry, "name")) is not None}
    return {number: known[name] for number, entry in enumerate(new) if (name := _word(entry, "name")) in known}


def _same_tests(old: list[Any], new: list[Any], named: Collection[str]) -> dict[int, Any]:
    """A test has no name: it is known by all of it that is shown, else by its request, where one is left to be meant."""
    there, left = _by(old, lambda entry: _form(entry, named)), _by(new, lambda entry: _form(entry, named))
    found: dict[int, Any] = {}
    for form, was in there.items():
        # With one of several gone, which one it was cannot be seen.
        if len(left.get(form, ())) >= len(was):
            found.update(zip(left[form], (old[place] for place in was), strict=False))
    taken = {id(entry) for entry in found.values()}
    there = _by([None if id(entry) in taken else entry for entry in old], lambda entry: _word(entry, "request"))
    left = _by([None if n in found else entry for n, entry in enumerate(new)], lambda entry: _word(entry, "request"))
    for request, was in there.items():
        if len(was) == len(left.get(request, ())) == 1:
            found[left[request][0]] = old[was[0]]
    return found


def _by(entries: list[Any], what: Callable[[Any], object]) -> dict[object, list[int]]:
    """The places of the entries of which this is the same; of those that are none it is None."""
    found: dict[object, list[int]] = {}
    for number, entry in enumerate(entries):
        if (key := what(entry)) is not None:
            found.setdefault(key, []).append(number)
    return found


def _form(entry: Any, named: Collection[str]) -> bytes | None:
    """A test as it is shown; None: it is none."""
    if _word(entry, "request") is None:
        return None
    fields = entry.get("headers")
    if isinstance(fields, dict):
        fields = {key: MASK if is_sensitive(str(key), named) else value for key, value in fields.items()}
    return canonical({**entry, "headers": fields})


def _word(entry: Any, key: str) -> str | None:
    word = entry.get(key) if isinstance(entry, dict) else None
    return word if isinstance(word, str) else None
