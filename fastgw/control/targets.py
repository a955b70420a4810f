"""The targets that control knows of: those of the current document, each at the addresses that its name has now.

What is watched about them (health) or said about them (breakers) lives elsewhere, by the same identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastgw.gateway.document.model import Document
from fastgw.upstream.options import TargetOptions, UpstreamOptions
from fastgw.upstream.place import Place, literal


@dataclass(frozen=True, slots=True)
class Known:
    """One line of an upstream's targets: without a place, the name has no address."""

    options: TargetOptions
    place: Place | None
    error: str  # of the last look-up of its name


class Targets:
    """`follow` each document, `resolved` for each `addresses` message; then ask."""

    __slots__ = ("_errors", "_resolved", "_upstreams")

    def __init__(self) -> None:
        self._upstreams: Mapping[str, UpstreamOptions] = {}
        self._resolved: dict[tuple[str, str, int], tuple[str, ...]] = {}
        self._errors: dict[tuple[str, str, int], str] = {}

    @property
    def upstreams(self) -> Mapping[str, UpstreamOptions]:
        return self._upstreams

    def follow(self, document: Document) -> None:
        self._upstreams = document.upstreams
        wanted = {
            (upstream.name, target.host, target.port)
            for upstream in document.upstreams.values()
            for target in upstream.targets
        }
        self._resolved = {where: found for where, found in self._resolved.items() if where in wanted}
        self._errors = {where: error for where, error in self._errors.items() if where in wanted}

    def resolved(self, message: Mapping[str, object]) -> None:
        """With an error, `addresses` are the last good ones."""
        where = (str(message["upstream"]), str(message["host"]), int(str(message["port"])))
        found = message["addresses"]
        self._resolved[where] = tuple(str(each) for each in found) if isinstance(found, list) else ()
        self._errors[where] = str(message["error"] or "")

    def of(self, name: str) -> list[Known]:
        """In the document's order; a name with several addresses stands there as often."""
        known: list[Known] = []
        for options in self._upstreams[name].targets:
            where = (name, options.host, options.port)
            places = self._places(name, options)
            error = self._errors.get(where, "" if places else "the name was not resolved yet")
            known.extend(Known(options, place, error) for place in places or (None,))
        return known

    def labels(self, name: str) -> set[str]:
        return {known.place.label for known in self.of(name) if known.place is not None}

    def _places(self, name: str, options: TargetOptions) -> tuple[Place, ...]:
        if options.unix_path:
            return (Place(options.unix_path, options.port, ""),)
        own = literal(options.host)
        found = (own,) if own is not None else self._resolved.get((name, options.host, options.port), ())
        return tuple(Place(options.host, options.port, address) for address in found)
