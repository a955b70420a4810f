"""The whole lookup: hosts one after another, 405 and 404, and equality with a naive matcher over random tables."""

from __future__ import annotations

import gc
import re
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from time import thread_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgw.routing.errors import PatternError
from fastgw.routing.table import MethodNotAllowed, RouteTable, build, find_ties


@dataclass(frozen=True)
class Match:
    path: str = "/*"
    hosts: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    name: str
    match: Match


def built(routes: Iterable[Route]) -> RouteTable[str]:
    steps = build((route.match, route.name) for route in routes)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            made = end.value
            assert isinstance(made, RouteTable)
            return made


def answer(
    table: RouteTable[str],
    host: bytes,
    method: bytes,
    path: bytes,
    fields: Mapping[bytes, bytes] | None = None,
) -> str | None:
    """The route's name, `405 <Allow>`, or None."""
    hit = table.find(host, method, path, fields or {})
    return f"405 {hit.allow.decode()}" if isinstance(hit, MethodNotAllowed) else hit


def test_an_empty_table_knows_nothing() -> None:
    assert answer(built([]), b"a", b"GET", b"/") is None


HOSTS = built(
    [
        Route("any", Match("/shared/*")),
        Route("any only", Match("/only/any")),
        Route("com", Match("/shared/*", hosts=("*.com",))),
        Route("com only", Match("/only/com", hosts=("*.com",))),
        Route("example", Match("/shared/*", hosts=("*.example.com",))),
        Route("api", Match("/shared/x", hosts=("api.example.com",))),
        Route("api put", Match("/only/any", hosts=("api.example.com",), methods=("PUT",))),
        Route("v6", Match("/shared/*", hosts=("[::1]",))),
    ]
)


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        (b"api.example.com", b"/shared/x", "api"),
        (b"api.example.com", b"/shared/y", "example"),  # none of its own matches the path: the next host
        (b"api.example.com", b"/only/com", "com only"),
        (b"api.example.com", b"/only/any", "405 PUT"),  # it knows the path, so the next host is not asked
        (b"web.example.com", b"/only/any", "any only"),
        (b"web.example.com", b"/shared/x", "example"),
        (b"a.b.c.example.com", b"/shared/x", "example"),
        (b"example.com", b"/shared/x", "com"),  # a wildcard is not its own suffix
        (b"xexample.com", b"/shared/x", "com"),
        (b"com", b"/shared/x", "any"),
        (b"localhost", b"/shared/x", "any"),
        (b"", b"/shared/x", "any"),  # HTTP/1.0 without Host
        (b"*.example.com", b"/only/any", "any only"),
        (b"[::1]", b"/shared/x", "v6"),
        (b"localhost", b"/nowhere", None),
        (b"api.example.com", b"/nowhere", None),
        (b"localhost", b"*", None),
    ],
)
def test_hosts(host: bytes, path: bytes, expected: str | None) -> None:
    assert answer(HOSTS, host, b"GET", path) == expected


METHODS = built(
    [
        Route("read", Match("/a", methods=("GET",))),
        Route("write", Match("/a", methods=("PUT",), headers={"x-v": "2"})),
        Route("below", Match("/a/*", methods=("DELETE",))),
        Route("v2", Match("/b", headers={"x-v": "2"})),
        Route("fallback", Match("/c/*")),
        Route("post", Match("/c/d", methods=("POST",))),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "fields", "expected"),
    [
        (b"GET", b"/a", {}, "read"),
        (b"HEAD", b"/a", {}, "read"),
        (b"DELETE", b"/a", {}, "below"),
        (b"PUT", b"/a", {b"x-v": b"2"}, "write"),
        (b"PUT", b"/a", {}, None),  # the method is known, the field is wrong: 404
        (b"POST", b"/a", {}, "405 DELETE, GET, HEAD, PUT"),
        (b"GET", b"/a/x", {}, "405 DELETE"),
        (b"GET", b"/b", {}, None),
        (b"BREW", b"/b", {b"x-v": b"2"}, "v2"),
        (b"POST", b"/c/d", {}, "post"),
        (b"GET", b"/c/d", {}, "fallback"),
    ],
)
def test_methods_and_fields(
    method: bytes, path: bytes, fields: dict[bytes, bytes], expected: str | None
) -> None:
    assert answer(METHODS, b"h", method, path, fields) == expected


def test_a_pattern_that_can_match_nothing_is_refused() -> None:
    with pytest.raises(PatternError):
        built([Route("r", Match("/a*"))])


# --- a naive matcher: every route against the request, in an order written out by hand ---


def host_rank(pattern: str | None, host: str) -> tuple[int, int] | None:
    if pattern is None:
        return (2, 0)
    if pattern.startswith("*."):
        return (1, -len(pattern)) if host.endswith(pattern[1:]) and len(host) > len(pattern) - 1 else None
    return (0, 0) if host == pattern else None


def path_rank(pattern: str, path: str) -> tuple[object, ...] | None:
    prefix = pattern.endswith("/*")
    stem = pattern.removesuffix("/*")
    expression = re.sub(r"\{[a-z]\}", "[^/]+", stem) + ("(/.*)?" if prefix else "")
    if not re.fullmatch(expression, path):
        return None
    segments = stem.split("/")[1:]
    shape = [segment.startswith("{") for segment in segments]
    kind = 2 if prefix else 1 if any(shape) else 0
    return (kind, -len(segments) if prefix else 0, shape)


def naive(
    routes: list[Route], host: str, method: str, path: str, fields: dict[str, str]
) -> tuple[str | None, list[tuple[object, ...]]]:
    """What `answer` should say, and the ranks of all routes that take the request."""
    by_host: dict[tuple[int, int], list[tuple[tuple[object, ...], Route]]] = {}
    for route in routes:
        rank = path_rank(route.match.path, path)
        for pattern in route.match.hosts or (None,):
            of_host = host_rank(pattern, host)
            if rank is not None and of_host is not None:
                conditions = (not route.match.methods, -len(route.match.headers))
                by_host.setdefault(of_host, []).append(((*rank, conditions), route))
    if not by_host:
        return None, []
    candidates = sorted(by_host[min(by_host)], key=lambda candidate: candidate[0])

    def takes(route: Route) -> bool:
        return (
            not route.match.methods
            or method in route.match.methods
            or (method == "HEAD" and "GET" in route.match.methods)
        )

    taking = [
        (rank, route)
        for rank, route in candidates
        if takes(route) and all(fields.get(name) == value for name, value in route.match.headers.items())
    ]
    if taking:
        return taking[0][1].name, [rank for rank, _ in taking]
    if any(takes(route) for _, route in candidates):
        return None, []
    allowed = {name for _, route in candidates for name in route.match.methods}
    return "405 " + ", ".join(sorted(allowed | ({"HEAD"} if "GET" in allowed else set()))), []


def preflight(table: RouteTable[str], host: bytes, method: bytes, path: bytes) -> str | None:
    hit = table.find_preflight(host, method, path)
    return f"405 {hit.allow.decode()}" if isinstance(hit, MethodNotAllowed) else hit


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        (b"GET", b"/a", "read"),
        (b"DELETE", b"/a", "below"),
        (b"PUT", b"/a", "write"),  # whatever the value of x-v will be
        (b"GET", b"/b", "v2"),
        (b"POST", b"/a", "405 DELETE, GET, HEAD, PUT"),
        (b"OPTIONS", b"/a", "405 DELETE, GET, HEAD, PUT"),
        (b"POST", b"/c/d", "post"),
        (b"PUT", b"/c/d", "fallback"),
        (b"GET", b"/d", None),
    ],
)
def test_a_preflight_goes_where_its_request_will(method: bytes, path: bytes, expected: str | None) -> None:
    assert preflight(METHODS, b"h", method, path) == expected


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        (b"api.example.com", b"/shared/x", "api"),
        (b"api.example.com", b"/shared/y", "example"),
        (b"api.example.com", b"/only/com", "com only"),
        (b"api.example.com", b"/only/any", "405 PUT"),
        (b"a.b.c.example.com", b"/shared/x", "example"),
        (b"com", b"/shared/x", "any"),
        (b"", b"/shared/x", "any"),
        (b"localhost", b"/nowhere", None),
    ],
)
def test_hosts_of_a_preflight(host: bytes, path: bytes, expected: str | None) -> None:
    assert preflight(HOSTS, host, b"GET", path) == expected


SEGMENT = st.sampled_from(["a", "b", ""])
PATTERN_SEGMENT = st.sampled_from(["a", "b", "", "{}"])


@st.composite
def patterns(draw: st.DrawFn) -> str:
    segments = draw(st.lists(PATTERN_SEGMENT, max_size=3))
    named = [
        segment if segment != "{}" else "{" + "xyz"[index] + "}" for index, segment in enumerate(segments)
    ]
    if draw(st.booleans()):
        return "/" + "/".join([*named, "*"])
    return "/" + "/".join(named or [""])


# Few enough that routes meet on one path, where methods and fields must decide.
PATHS = st.one_of(st.sampled_from(["/a", "/a/*", "/{x}"]), patterns())

MATCHES = st.builds(
    Match,
    path=PATHS,
    hosts=st.sampled_from([(), (), ("a.x.y",), ("*.x.y",), ("*.y",), ("a.x.y", "*.y"), ("y", "*.x.y")]),
    methods=st.sampled_from([(), (), ("GET",), ("PUT",), ("GET", "PUT"), ("HEAD",)]),
    headers=st.dictionaries(st.sampled_from(["h", "i", "j"]), st.sampled_from(["1", "2"]), max_size=2),
)
TABLES = st.lists(MATCHES, max_size=14).map(
    lambda matches: [Route(f"r{index}", match) for index, match in enumerate(matches)]
)
REQUESTS = st.tuples(
    st.sampled_from(["a.x.y", "b.x.y", "a.b.x.y", "x.y", "y", "z", "xx.y"]),
    st.sampled_from(["GET", "HEAD", "PUT", "POST"]),
    st.lists(SEGMENT, min_size=1, max_size=5).map(lambda segments: "/" + "/".join(segments)),
    st.dictionaries(st.sampled_from(["h", "i", "j"]), st.sampled_from(["1", "2", "3"])),
)


@settings(max_examples=300)
@given(TABLES, st.lists(REQUESTS, min_size=1, max_size=20))
def test_equal_to_the_naive_matcher(
    routes: list[Route], requests: list[tuple[str, str, str, dict[str, str]]]
) -> None:
    tied = {later for _, later in find_ties(routes)}
    untied = [route for route in routes if route.name not in tied]
    table = built(untied)
    for host, method, path, fields in requests:
        expected, ranks = naive(untied, host, method, path, fields)
        given_fields = {name.encode(): value.encode() for name, value in fields.items()}
        assert answer(table, host.encode(), method.encode(), path.encode(), given_fields) == expected
        # Where no tie was found, none may show: the best of all that take the request is better than the next.
        assert len(ranks) < 2 or ranks[0] < ranks[1]


@settings(max_examples=200)
@given(TABLES, st.lists(REQUESTS, min_size=1, max_size=20))
def test_a_preflight_is_equal_where_no_route_asks_for_fields(
    routes: list[Route], requests: list[tuple[str, str, str, dict[str, str]]]
) -> None:
    plain = [Route(route.name, replace(route.match, headers={})) for route in routes]
    tied = {later for _, later in find_ties(plain)}
    table = built(route for route in plain if route.name not in tied)
    for host, method, path, _ in requests:
        asked = host.encode(), method.encode(), path.encode()
        assert preflight(table, *asked) == answer(table, *asked)


@settings(max_examples=200)
@given(TABLES)
def test_a_tie_is_a_request_that_both_take(routes: list[Route]) -> None:
    by_name = {route.name: route for route in routes}
    for first, second in find_ties(routes):
        one, other = by_name[first].match, by_name[second].match
        path = re.sub(r"\{[a-z]\}", "q", one.path.replace("*", "q"))
        fields = {**one.headers, **other.headers}
        takers = [
            naive([by_name[name]], host.replace("*", "w"), method, path, fields)[0]
            for host in (*one.hosts, "unknown")
            for method in ("GET", "HEAD", "PUT", "POST")
            for name in (first, second)
        ]
        pairs = list(zip(takers[::2], takers[1::2], strict=True))
        assert (first, second) in pairs


# --- cost and life time ---


def numbered(count: int) -> list[Route]:
    kinds = ["/svc{}/*", "/exact/{}", "/api/{}/users/{{id}}"]
    return [Route(f"r{number}", Match(kinds[number % 3].format(number))) for number in range(count)]


class Probed(dict[bytes, bytes]):
    """Counts how often routes ask for a field: the work of a lookup, where time would depend on the machine."""

    asked = 0

    def get(self, *args: object) -> None:  # type: ignore[override]
        Probed.asked += 1


def test_a_lookup_does_not_grow_with_the_number_of_routes() -> None:
    def steps(count: int) -> int:
        table = built(
            Route(f"r{number}", Match(f"/p{number}/*", headers={"x": "1"})) for number in range(count)
        )
        Probed.asked = 0
        assert table.find(b"h", b"GET", b"/p7/a/b", Probed()) is None
        return Probed.asked

    assert steps(10) == steps(5000)


def test_building_and_releasing_go_in_small_steps() -> None:
    gc.collect()
    gc.disable()
    try:
        steps = build((route.match, route.name) for route in numbered(3000))
        durations = []
        while True:
            start = thread_time()
            try:
                next(steps)
            except StopIteration as end:
                table = end.value
                break
            durations.append(thread_time() - start)
        assert len(durations) >= 3000 // 16
        # The median, not the slowest: a shared machine stops anybody for a millisecond now and then.
        assert sorted(durations)[len(durations) // 2] < 0.001
        assert len(list(table.release())) >= 3000 // 64
    finally:
        gc.enable()
    assert answer(table, b"h", b"GET", b"/svc0/x") is None


def test_a_table_is_freed_without_a_collection() -> None:
    class Held:
        pass

    held = Held()
    steps = build([(Match("/a/{x}/*", hosts=("h", "*.i", "*")), held)])
    with pytest.raises(StopIteration) as end:
        next(steps)
    table = end.value.value
    assert table.find(b"h", b"GET", b"/a/b/c", {}) is held
    gone = weakref.ref(held)
    gc.disable()
    try:
        del held, steps, table, end
        assert gone() is None
    finally:
        gc.enable()
