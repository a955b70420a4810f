"""From a file, or from plain values, to a checked document; or to everything that is wrong with it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from fastgw.config.errors import ConfigError, Problem, shown
from fastgw.config.findings import Finding, findings
from fastgw.config.paths import Path as Place
from fastgw.config.paths import text_of
from fastgw.config.yaml import Source, parse
from fastgw.gateway.document.callers import contradictions, doubts, exposed
from fastgw.gateway.document.destinations import destination_doubts, impossible_deadlines
from fastgw.gateway.document.files import localise
from fastgw.gateway.document.fleet import store_findings
from fastgw.gateway.document.key_files import embed_keys
from fastgw.gateway.document.known import Known
from fastgw.gateway.document.model import Document, apply_parts, document_hash, part_hash, split
from fastgw.gateway.document.options import (
    DEFAULT_INSTANCE,
    DEFAULT_STORE,
    BaseOptions,
    DocumentOptions,
    RouteOptions,
)
from fastgw.gateway.document.references import (
    Clash,
    doubles,
    references,
    strange_names,
    with_line,
    without_line,
)
from fastgw.gateway.document.secure_targets import tls_doubts
from fastgw.gateway.document.unbuilt import unbuilt
from fastgw.upstream.options import UpstreamOptions

MAX_FILE: Final = 128 * 1024 * 1024  # bytes; 10,000 routes with every policy are 5.4 MB


def load_file(
    path: Path, environ: Mapping[str, str], tested: bool = True, previous: Document | None = None
) -> Document:
    """Raises ConfigError with all problems. `tested` false: its own tests are for somebody else to run. `previous`: a
    document that was checked; parts that are as they were in it are not checked by themselves again."""
    with _collection_paused():
        source = parse(_read(path), str(path), environ)
        if not source.whole:
            raise ConfigError(source.problems)
        plain = source.plain
        found: list[Finding] = []
        if isinstance(plain, dict):
            _fill_in(plain, environ)
            found += localise(plain, path.absolute().parent)
            found += embed_keys(plain, path.absolute().parent)
        document, more = _check(plain, lambda doubt: _at_its_line(doubt, source), tested, previous)
        for finding in [*found, *more]:
            _report(finding, source)
        if source.problems or document is None:
            raise ConfigError(source.problems)
        return document


def load_plain(plain: Any, name: str, tested: bool = True, previous: Document | None = None) -> Document:
    """A document that was expanded before: out of the store, or through the admin API. `name` says which; the rest is as
    for a file."""
    with _collection_paused():

        def problem(finding: Finding) -> Problem:
            return Problem(name, 0, text_of(finding.path), without_line(finding))

        document, found = _check(plain, problem, tested, previous)
        if found or document is None:
            raise ConfigError(problem(finding) for finding in found)
        return document


def load_parts(parts: Mapping[str, bytes]) -> Document:
    """From `Document.parts()`: checked before, so nothing is checked across parts."""
    digest = document_hash({key: part_hash(data) for key, data in parts.items()})
    work = apply_parts(None, parts.items(), digest)
    while True:
        try:
            next(work)
        except StopIteration as done:
            document: Document = done.value
            return document


def _read(path: Path) -> bytes:
    def refusal(message: str) -> ConfigError:
        return ConfigError([Problem(str(path), 0, "", message)])

    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        # Paths in the document start there, and documents are UTF-8.
        raise ConfigError(
            [Problem(ascii(str(path)), 0, "", "the path is not UTF-8; rename its folder")]
        ) from None
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        raise refusal("there is no such file; name it with -c FILE") from None
    except IsADirectoryError:
        raise refusal("this is a directory; name the file in it") from None
    except PermissionError:
        raise refusal("the file cannot be read: permission denied; allow this user to read it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise refusal(f"the file cannot be read: {reason}") from None
    if len(data) > MAX_FILE:
        raise refusal(f"the file is larger than {MAX_FILE // 1024**2} MB; is this the configuration?")
    return data


def _fill_in(plain: dict[str, Any], environ: Mapping[str, str]) -> None:
    """The defaults that depend on the machine and the file's place. They become part of what is published."""
    if plain.get("instance") is None:
        plain["instance"] = environ.get("HOSTNAME") or DEFAULT_INSTANCE
    if plain.get("store") is None:
        plain["store"] = DEFAULT_STORE


def _report(finding: Finding, source: Source) -> None:
    # What is already known to be wrong (a variable that is not set, a key that is not supported) is not wrong again
    # in a second way; the same for what is inside it.
    place = finding.path
    if any(place[:length] in source.reported for length in range(1, len(place) + 1)):
        return
    source.problem(place, _words(finding, source))


def _words(finding: Finding, source: Source) -> str:
    return with_line(finding, source.line(finding.other)) if isinstance(finding, Clash) else finding.message


def _at_its_line(finding: Finding, source: Source) -> Problem:
    path = finding.path
    return Problem(source.file, source.line(path), text_of(path), _words(finding, source))


def _check(
    plain: Any, problem: Callable[[Finding], Problem], tested: bool, previous: Document | None
) -> tuple[Document | None, list[Finding]]:
    """The document, or what is wrong with it; `problem` gives a finding its place, for the document's warnings."""
    if not isinstance(plain, dict):
        message = "is not a mapping; write `key: value` lines: listeners, upstreams and routes"
        return None, [Finding((), f"{shown(plain)} {message}")]
    found = list(unbuilt(plain))
    known = Known(previous)
    base = _base(plain, known, found)
    upstreams = _upstreams(plain.get("upstreams"), known, found)
    routes, places = _routes(plain.get("routes"), known, found)
    found += references(plain, places, routes, known.routes, known.names_stay(plain))
    found += contradictions(plain, places, routes, known.routes)
    found += impossible_deadlines(upstreams, places, routes)
    found += strange_names(plain)
    if base is not None:
        found += exposed(base)
        found += store_findings(base)
    if base is None or found:
        return None, found
    all_doubts = (*doubts(base, places, routes), *tls_doubts(upstreams),
                  *destination_doubts(upstreams, places, routes))  # fmt: skip
    warnings = sorted((problem(doubt) for doubt in all_doubts), key=lambda one: one.line)
    parts = split(plain, known.parts)
    hashes = known.hashes(parts)
    digest = document_hash(hashes)
    document = Document(base, upstreams, routes, parts, hashes, digest, plain, tuple(warnings))
    if base.tests and tested:
        # The pipeline that they run through is 70 ms of imports, which only those pay who have tests.
        from fastgw.gateway.document.cases import failures  # noqa: PLC0415

        found += failures(document)
    return (None if found else document), found


def _base(plain: dict[str, Any], known: Known, found: list[Finding]) -> BaseOptions | None:
    rest = {key: value for key, value in plain.items() if key not in ("upstreams", "routes")}
    try:
        return known.base(rest) or BaseOptions.model_validate(rest)
    except ValidationError as error:
        found += findings(error, DocumentOptions, ())
        return None


def _upstreams(plain: Any, known: Known, found: list[Finding]) -> dict[str, UpstreamOptions]:
    result: dict[str, UpstreamOptions] = {}
    if plain is not None and not isinstance(plain, dict):
        found.append(
            Finding(
                ("upstreams",), f"{shown(plain)} is not a mapping; write `name: {{targets: [...]}}` lines"
            )
        )
        return result
    for name, upstream in (plain or {}).items():
        place: Place = ("upstreams", name)
        if not isinstance(upstream, dict):
            found.append(
                Finding(place, f"{shown(upstream)} is not a mapping; write targets: [http://host:port]")
            )
            continue
        if "name" in upstream:
            found.append(Finding((*place, "name"), f"the name is the key ({shown(name)}); remove this line"))
        try:
            same = known.upstream(name, upstream)
            result[name] = same or UpstreamOptions.model_validate({**upstream, "name": name})
        except ValidationError as error:
            found += findings(error, DocumentOptions, place)
    return result


def _routes(
    plain: Any, known: Known, found: list[Finding]
) -> tuple[dict[str, RouteOptions], dict[str, int]]:
    """The routes that are right by themselves, and the position of each."""
    result: dict[str, RouteOptions] = {}
    places: dict[str, int] = {}
    if plain is not None and not isinstance(plain, list):
        found.append(
            Finding(("routes",), f"{shown(plain)} is not a list; write one `- name: ...` entry a route")
        )
        return result, places
    found += doubles(plain, ("routes",), "route")
    validate = RouteOptions.model_validate
    for number, entry in enumerate(plain or ()):
        try:
            route = known.route(entry) or validate(entry)
        except ValidationError as error:
            found += findings(error, DocumentOptions, ("routes", number))
            continue
        if route.name not in result:
            result[route.name] = route
            places[route.name] = number
        else:
            known.routes.discard(route.name)  # it may be the second that is as it was, and the first is looked at
    return result, places


@contextmanager
def _collection_paused() -> Iterator[None]:
    """Nothing made here is garbage, and looking for it takes longer than all the rest: 5 s instead of 1.5 for 10,000
    routes."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
