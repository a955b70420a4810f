"""What an earlier document knows: a part that comes again with the same bytes is not checked by itself again.

What parts say about each other is checked every time (references.py and its neighbours); nothing of that is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastgw.gateway.document.model import BASE, ROUTE, UPSTREAM, Document, canonical, part_hash
from fastgw.gateway.document.options import BaseOptions, RouteOptions
from fastgw.upstream.options import UpstreamOptions


class Known:
    """For one check of one document. Of 10,000 routes it saves the second that they take to be checked; the objects,
    bytes and hashes of what stays are those of the document before, so that both in memory are little more than one."""

    __slots__ = ("_document", "_parts", "parts", "routes")

    def __init__(self, document: Document | None) -> None:
        self._document = document
        self._parts: Mapping[str, bytes] = {} if document is None else document.parts()
        self.parts: dict[str, bytes] = {}  # of the new document, as far as they were looked at
        self.routes: set[str] = set()  # that are as they were

    def base(self, plain: Any) -> BaseOptions | None:
        return self._document.base if self._document is not None and self._same(BASE, plain) else None

    def upstream(self, name: str, plain: Any) -> UpstreamOptions | None:
        key = UPSTREAM + name
        return self._document.upstreams[name] if self._document is not None and self._same(key, plain) else None

    def route(self, plain: Any) -> RouteOptions | None:
        name = plain.get("name") if isinstance(plain, dict) else None
        if self._document is None or not isinstance(name, str) or not self._same(ROUTE + name, plain):
            return None
        self.routes.add(name)
        return self._document.routes[name]

    def names_stay(self, plain: Mapping[str, Any]) -> bool:
        """Whether every upstream and issuer of the document before is there."""
        if self._document is None:
            return False
        upstreams, issuers = plain.get("upstreams"), plain.get("issuers")
        return (
            self._document.upstreams.keys() <= (upstreams if isinstance(upstreams, dict) else {}).keys()
            and self._document.base.issuers.keys() <= (issuers if isinstance(issuers, dict) else {}).keys()
        )

    def hashes(self, parts: Mapping[str, bytes]) -> dict[str, str]:
        if self._document is None:
            return {key: part_hash(part) for key, part in parts.items()}
        before, known = self._parts, self._document.hashes
        return {key: known[key] if before.get(key) is part else part_hash(part) for key, part in parts.items()}

    def _same(self, key: str, plain: Any) -> bool:
        before = self._parts.get(key)
        if before is None:
            return False
        try:
            part = canonical(plain)
        except TypeError:
            return False  # no JSON; what is wrong with it is said where it is checked
        same = part == before
        self.parts[key] = before if same else part
        return same
