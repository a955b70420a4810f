from __future__ import annotations

from collections.abc import Callable

import pytest

Problems = Callable[..., list[str]]

HEAD = """\
listeners: [{address: "127.0.0.1:8080"}]
upstreams: {app: {targets: [http://127.0.0.1:9001]}, orders: {targets: [http://127.0.0.1:9002]}}
routes:
"""


def test_an_upstream_that_does_not_exist(problems: Problems) -> None:
    assert problems(HEAD + "- {name: a, upstream: order}\n") == [
        'gateway.yaml:4: routes[0].upstream: there is no upstream "order"; did you mean "orders"?'
    ]
    assert problems("listeners: [{address: 'x:1'}]\nroutes: [{name: a, upstream: b}]") == [
        'gateway.yaml:2: routes[0].upstream: there is no upstream "b"; add it under upstreams'
    ]


def test_names_are_looked_up_in_routes_that_are_wrong_otherwise(problems: Problems) -> None:
    found = problems(
        HEAD + "- {name: a, upstream: nope, max_body: 3}\n- {name: b, auth: {any: [jwt: nope]}}\n"
    )
    assert any('no upstream "nope"' in line for line in found)


def test_a_split_names_upstreams_too(problems: Problems) -> None:
    (found,) = problems(HEAD + "- {name: a, split: {app: 9, nope: 1}}\n")
    assert 'routes[0].split.nope: there is no upstream "nope"' in found


def test_an_issuer_that_does_not_exist(problems: Problems) -> None:
    issuers = "issuers: {main: {algorithms: [RS256], jwks_url: https://x}}\n"
    assert problems(issuers + HEAD + "- {name: a, upstream: app, auth: {any: [jwt: main, jwt: mian]}}\n") == [
        'gateway.yaml:5: routes[0].auth.any[1]: there is no issuer "mian"; did you mean "main"?'
    ]


def test_ties_name_both_lines(problems: Problems) -> None:
    routes = """\
- name: one
  match: {path: /x/*}
  upstream: app
- {name: between, upstream: app}
- name: two
  match: {path: /x/*}
  upstream: app
"""
    (found,) = problems(HEAD + routes)
    assert found.startswith(
        'gateway.yaml:9: routes[2].match: it takes the same requests as the route "one" (line 5), and neither'
    )


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ('path: "/x/{a}"', 'path: "/x/{b}"'),
        ("hosts: [A.example], path: /x", "hosts: [b.example, a.example], path: /x"),
        ("path: /x, methods: [GET]", "path: /x, methods: [HEAD]"),
        ('path: "/%7Ex"', 'path: "/~x"'),
    ],
)
def test_ties_in_other_words(problems: Problems, one: str, two: str) -> None:
    text = (
        HEAD
        + f"- {{name: a, upstream: app, match: {{{one}}}}}\n- {{name: b, upstream: app, match: {{{two}}}}}\n"
    )
    (found,) = problems(text)
    assert "neither is more exact" in found


def test_two_routes_with_one_name(problems: Problems) -> None:
    found = problems(HEAD + "- {name: a, upstream: app}\n\n- {name: a, upstream: app, match: {path: /b}}\n")
    assert found == [
        'gateway.yaml:6: routes[1].name: another route is named "a" (line 4); give each its own name'
    ]


@pytest.mark.parametrize(
    ("path", "prefix"),
    [("/a/*", "/a"), ("/a/b", "/a"), ("/a/b/*", "/a/b"), ("/a/{id}", "/a"), ("/a", "/a"), ("/~a/*", "/%7Ea")],
)
def test_a_prefix_that_can_be_stripped(problems: Problems, path: str, prefix: str) -> None:
    route = f'- {{name: a, upstream: app, match: {{path: "{path}"}}, rewrite: {{path: {{strip_prefix: "{prefix}"}}}}}}\n'
    assert problems(HEAD + route) == []


@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        ("/a/*", "/b"),
        ("/ab/*", "/a"),
        ("/a/*", "/a/b"),
        ("/*", "/a"),
        ("/{x}/b", "/a"),
        ("/", "/a"),
        ("/A/*", "/a"),
    ],
)
def test_a_prefix_that_would_never_be_stripped(problems: Problems, path: str, prefix: str) -> None:
    route = f'- {{name: a, upstream: app, match: {{path: "{path}"}}, rewrite: {{path: {{strip_prefix: "{prefix}"}}}}}}\n'
    (found,) = problems(HEAD + route)
    assert "routes[0].rewrite.path.strip_prefix: not every path" in found


@pytest.mark.parametrize("path", ["/%00", "/a%2f..%2fb", "/..;/x"])
def test_a_path_that_no_request_can_have(problems: Problems, path: str) -> None:
    (found,) = problems(HEAD + f'- {{name: a, upstream: app, match: {{path: "{path}"}}}}\n')
    assert "routes[0].match" in found
