from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from fastgw.routing.options import MatchOptions, ReplyOptions, Split


def hint_of(model: type[Any], options: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(options)
    return str(caught.value.errors()[0]["msg"])


@pytest.mark.parametrize(
    ("host", "typed"),
    [
        ("api.example.com", "api.example.com"),
        ("API.Example.COM.", "api.example.com"),
        ("*.example.com", "*.example.com"),
        ("localhost", "localhost"),
        ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("my_app", "my_app"),
    ],
)
def test_hosts_are_taken(host: str, typed: str) -> None:
    assert MatchOptions.model_validate({"hosts": [host]}).hosts == (typed,)


@pytest.mark.parametrize(
    ("host", "hint"),
    [
        ("a.b:80", "write a.b"),
        ("[::1]:80", r"write [::1]"),
        ("*", "leave hosts out"),
        ("münchen.de", "xn--"),
        ("", "is no host"),
        ("a..b", "is no host"),
        ("-a.b", "is no host"),
        ("*.*.b", "is no host"),
        ("a.*.b", "is no host"),
        ("*b", "is no host"),
        ("a b", "is no host"),
        ("a\n", "is no host"),
        ("http://a", "is no host"),
        ("a/b", "is no host"),
        ("::1", "has a port"),
        ("x" * 64, "is no host"),
        (3, "write a host"),
    ],
)
def test_hosts_are_refused(host: object, hint: str) -> None:
    assert hint in hint_of(MatchOptions, {"hosts": [host]})


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/*",
        "/a",
        "/a/",
        "/a//b",
        "/a/*",
        "/a/{id}",
        "/a/{id}/b/{b_2}/*",
        "/a%2Fb",
        "/.well-known/x",
        '/"<>[]^`|~',
    ],
)
def test_paths_are_taken(path: str) -> None:
    assert MatchOptions.model_validate({"path": path}).path == path


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("a", 'write "/a"'),
        ("", "does not start with a slash"),
        ("*", "does not start with a slash"),
        ("/a?b", "path only"),
        ("/a#b", "path only"),
        ("/a*", "not the last segment"),
        ("/*/a", "not the last segment"),
        ("/a/**", "not the last segment"),
        ("/a{b}", "whole segment"),
        ("/{a-b}", "whole segment"),
        ("/{}", "whole segment"),
        ("/{1}", "whole segment"),
        ("/a}", "whole segment"),
        ("/{a}/{a}", "twice"),
        ("/a/../b", "dot segment"),
        ("/./a", "dot segment"),
        ("/..", "dot segment"),
        ("/a b", "as %XX"),
        ("/ä", "as %XX"),
        ("/a\n", "as %XX"),
        ("/a\\b", "as %XX"),
        ("/%", "as %XX"),
        ("/%zz", "as %XX"),
        (3, "write a path"),
    ],
)
def test_paths_are_refused(path: object, hint: str) -> None:
    assert hint in hint_of(MatchOptions, {"path": path})


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"hosts": ["a.b", "A.b"]}, "hosts lists a.b twice"),
        ({"methods": ["GET", "GET"]}, "methods lists GET twice"),
        ({"methods": ["get"]}, "write GET"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "names a header twice"),
        ({"headers": {"x a": "1"}}, "no header name"),
        ({"headers": {"x": "a\r\nb"}}, "printable ASCII"),
        ({"headers": {"x": 2}}, 'quote it: "2"'),
    ],
)
def test_conditions_are_refused(options: dict[str, Any], hint: str) -> None:
    assert hint in hint_of(MatchOptions, options)


def test_header_names_are_lower_case() -> None:
    assert MatchOptions.model_validate({"headers": {"X-Api-Version": "2"}}).headers == {"x-api-version": "2"}


def test_replies() -> None:
    reply = ReplyOptions.model_validate({"status": 410})
    assert (reply.status, reply.body, reply.content_type) == (410, "", "application/json")


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"status": 100}, "from 200 to 599"),
        ({"status": 600}, "from 200 to 599"),
        ({"status": 204, "body": "x"}, "no body"),
        ({"status": 304, "body": "x"}, "no body"),
        ({"status": 200, "content_type": "a\r\nb: c"}, "printable ASCII"),
        ({"status": 200, "body": 3}, "quote it"),
    ],
)
def test_replies_are_refused(options: dict[str, Any], hint: str) -> None:
    assert hint in hint_of(ReplyOptions, options)


@pytest.mark.parametrize("split", [{"a": 1}, {"a": 95, "b": 5}, {"a": 100, "b": 0}, {"a": 1_000_000}])
def test_splits(split: dict[str, int]) -> None:
    assert TypeAdapter(Split).validate_python(split) == split


@pytest.mark.parametrize(
    ("split", "hint"),
    [
        ({}, "split is empty, so that no request goes anywhere"),
        ({"a": 0, "b": 0}, "every weight is 0, so that no request goes anywhere"),
        ({"a": -1}, "from 0"),
        ({"a": 1_000_001}, "to 1000000"),
        ({"a": 0.5}, "whole number"),
    ],
)
def test_splits_to_nothing_are_refused(split: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Split).validate_python(split)
    assert hint in caught.value.errors()[0]["msg"]
