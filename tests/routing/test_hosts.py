"""Host patterns: what may be written, and in which order they are asked."""

from __future__ import annotations

import pytest

from fastgw.routing.errors import PatternError
from fastgw.routing.hosts import HostKind, parse_host


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("api.example.com", HostKind.EXACT, b"api.example.com"),
        ("API.Example.com.", HostKind.EXACT, b"api.example.com"),
        ("localhost", HostKind.EXACT, b"localhost"),
        ("127.0.0.1", HostKind.EXACT, b"127.0.0.1"),
        ("[::1]", HostKind.EXACT, b"[::1]"),
        ("[0:0::1]", HostKind.EXACT, b"[::1]"),
        ("*.Example.com", HostKind.WILDCARD, b"example.com"),
        ("*.com", HostKind.WILDCARD, b"com"),
        ("*", HostKind.ANY, b""),
    ],
)
def test_accepts(text: str, kind: HostKind, name: bytes) -> None:
    pattern = parse_host(text)
    assert (pattern.kind, pattern.name) == (kind, name)


@pytest.mark.parametrize(
    "text",
    ["", ".", "*.", "**.a", "*.*.a", "a.*", "a*.b", "*a.b", "a b", "a/b", "a:80", "a:", "*.a:80", "[::1]:80", "[::1",
     "[x]", "*.[::1]", "a,b", "a..b", ".a", "http://a", "user@a", "a\n", "caf\u00e9.example", "a" * 256],
)  # fmt: skip
def test_refuses(text: str) -> None:
    with pytest.raises(PatternError):
        parse_host(text)


def test_exact_then_more_labels_then_any() -> None:
    texts = ["*", "*.com", "*.a.com", "*.b.a.com", "a.com"]
    ranked = sorted(texts, key=lambda text: parse_host(text).rank())
    assert ranked == ["a.com", "*.b.a.com", "*.a.com", "*.com", "*"]
