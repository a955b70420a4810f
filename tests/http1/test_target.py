"""Targets: every form, every spelling that is normalised, every one that is refused."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgw.errors import HttpError, Reason
from fastgw.http1.target import normalise_path, parse_target

NORMALISED = [
    (b"/", b"/"),
    (b"/a/b", b"/a/b"),
    (b"/a//b", b"/a//b"),
    (b"//", b"//"),
    (b"//a", b"//a"),
    (b"/a/", b"/a/"),
    (b"/a/./b", b"/a/b"),
    (b"/./a", b"/a"),
    (b"/.", b"/"),
    (b"/a/.", b"/a/"),
    (b"/a/..", b"/"),
    (b"/a/b/..", b"/a/"),
    (b"/a/b/../c", b"/a/c"),
    (b"/a/../b", b"/b"),
    (b"/a//../b", b"/a/b"),  # RFC 3986 5.2.4: the empty segment is the one that is left
    (b"//../a", b"/a"),
    (b"/a/b/c/../../d", b"/a/d"),
    (b"/.well-known/x", b"/.well-known/x"),
    (b"/...", b"/..."),
    (b"/..a/b..", b"/..a/b.."),
    (b"/a;x=1/b", b"/a;x=1/b"),
    (b"/;x", b"/;x"),
    (b"/a..;b", b"/a..;b"),
    (b"/%41%7e%2D%5f%2E", b"/A~-_."),
    (b"/a%2eb", b"/a.b"),
    (b"/a%2fb", b"/a%2Fb"),
    (b"/a%5cb", b"/a%5Cb"),
    (b"/a%0d%0ab", b"/a%0D%0Ab"),
    (b"/a%7fb", b"/a%7Fb"),
    (b"/a%20b", b"/a%20b"),
    (b"/a%3fb%23", b"/a%3Fb%23"),
    (b"/a%25b", b"/a%25b"),
    (b"/%252e%252e%252f", b"/%252e%252e%252f"),  # decoded once, never twice (RFC 3986 2.4)
    (b"/caf%c3%a9", b"/caf%C3%A9"),
    (b"/a%2f%2fb", b"/a%2F%2Fb"),
    (b"/a/%2e%2e%2e", b"/a/..."),
    (b"/a:b@c!$&'()*+,;=d", b"/a:b@c!$&'()*+,;=d"),
    (b'/"<>[]^`{|}', b'/"<>[]^`{|}'),
]

REFUSED = [
    # a dot segment that only appears once escapes are decoded
    b"/a/..%2fb", b"/a/..%2Fb", b"/a/..%5cb", b"/a/..%5Cb", b"/a/%2e%2e%2fb", b"/a/%2e%2e%5cb",
    b"/a/.%2e%2fb", b"/a%2f../b", b"/a%5c../b", b"/a%2f..", b"/a%5c..", b"/a%2f..%2fb", b"/a/.%2fb",
    b"/a%2f.%2fb", b"/..%2fa", b"/a%2F%2E%2E/b", b"/%2e%2e/", b"/a/%2e%2e/b", b"/a/%2e%2e",
    b"/a/.%2e/b", b"/a/%2e./b", b"/a/%2E%2e/b", b"/a/%2e/b", b"/%2e", b"/%2e/", b"/a/../b/%2e%2e/c",
    b"/a%5c.%5cb",
    # a dot segment with parameters
    b"/a/..;/b", b"/a/..;", b"/a/..;x=1/b", b"/..;/a", b"/a/.;/b", b"/.;x", b"/a/%2e%2e;/b",
    b"/a/..%3b/b", b"/a/..%3Bx/b", b"/a/%2e;x/b", b"/a%2f..;x/b", b"/a/.%3b",
    # above the root
    b"/..", b"/../", b"/../a", b"/a/../..", b"/a/../../b", b"/./..", b"//../..", b"/a/./../../b",
    # illegal bytes
    b"/a\\b", b"\\a", b"/\\", b"/a\\..\\b", b"/a#b", b"/#", b"#a", b"/a b", b"/ ", b" /", b"/a\tb",
    b"/a\rb", b"/a\nb", b"/a\r\n", b"/a\n", b"/a\x00b", b"/a\x7fb", b"/\xc3\xa9", b"/a\x80",
    # malformed escapes and NUL
    b"/a%00", b"/%00", b"/a%00b/c", b"/a%", b"/a%4", b"/a%4/b", b"/a%zz", b"/a%4g", b"/a%u0041",
    b"/a%+1", b"/%%41", b"/a%%", b"/%4%41",
    # no path at all
    b"", b"a", b"a/b", b"?a", b"./a", b"../a",
]  # fmt: skip


@pytest.mark.parametrize(("raw", "path"), NORMALISED)
def test_path_is_normalised(raw: bytes, path: bytes) -> None:
    assert normalise_path(raw) == path
    assert parse_target(raw, b"GET") == (path, b"", None)
    assert parse_target(raw + b"?q=/../%zz", b"GET") == (path, b"?q=/../%zz", None)
    assert parse_target(b"http://a.example" + raw, b"GET") == (path, b"", b"a.example")


@pytest.mark.parametrize("raw", REFUSED)
def test_path_is_refused(raw: bytes) -> None:
    for method in (b"GET", b"OPTIONS", b"BREW"):
        with pytest.raises(HttpError) as caught:
            parse_target(raw, method)
        assert caught.value.reason is Reason.BAD_REQUEST
    with pytest.raises(HttpError):
        normalise_path(raw)
    if raw.startswith(b"/"):
        with pytest.raises(HttpError):
            parse_target(raw + b"?x", b"GET")
        with pytest.raises(HttpError):
            parse_target(b"http://a.example" + raw, b"GET")


@pytest.mark.parametrize(
    ("raw", "method", "expected"),
    [
        (b"/a?", b"GET", (b"/a", b"?", None)),
        (b"/a?b?c", b"GET", (b"/a", b"?b?c", None)),
        (b"/a?b=%zz&c=100%", b"GET", (b"/a", b"?b=%zz&c=100%", None)),
        (b"/a?b=c\\d", b"GET", (b"/a", b"?b=c\\d", None)),
        (b"/a?u=http://x/../y", b"GET", (b"/a", b"?u=http://x/../y", None)),
        (b"/a/./b?c", b"GET", (b"/a/b", b"?c", None)),
        (b"*", b"OPTIONS", (b"*", b"", None)),
        (b"http://a.example", b"GET", (b"/", b"", b"a.example")),
        (b"http://a.example/", b"GET", (b"/", b"", b"a.example")),
        (b"http://a.example?b", b"GET", (b"/", b"?b", b"a.example")),
        (b"HTTP://A.Example:8080/B", b"GET", (b"/B", b"", b"a.example:8080")),
        (b"https://a.example:0443/b?c", b"GET", (b"/b", b"?c", b"a.example:443")),
        (b"http://[::1]:80/x", b"GET", (b"/x", b"", b"[::1]:80")),
        (b"http://a.example", b"OPTIONS", (b"*", b"", b"a.example")),  # RFC 9112 3.2.4
        (b"http://a.example/", b"OPTIONS", (b"/", b"", b"a.example")),
        (b"a.example:443", b"CONNECT", (b"/", b"", b"a.example:443")),
        (b"/a", b"CONNECT", (b"/a", b"", None)),
    ],
)
def test_forms(raw: bytes, method: bytes, expected: tuple[bytes, bytes, bytes | None]) -> None:
    assert parse_target(raw, method) == expected


@pytest.mark.parametrize(
    ("raw", "method"),
    [
        (b"*", b"GET"),
        (b"**", b"OPTIONS"),
        (b"*?a", b"OPTIONS"),
        (b"a.example:443", b"GET"),
        (b"user@a.example:443", b"CONNECT"),
        (b"http://a.example/", b"CONNECT"),
        (b"ftp://a.example/", b"GET"),
        (b"http:/a", b"GET"),
        (b"http:a", b"GET"),
        (b"http://", b"GET"),
        (b"http:///a", b"GET"),
        (b"http://?a", b"GET"),
        (b"http://user@a.example/", b"GET"),
        (b"http://user:pw@a.example/", b"GET"),
        (b"http://a.example\\@b.example/", b"GET"),
        (b"http://a.example:99999/", b"GET"),
        (b"http://a.example:x/", b"GET"),
        (b"http://a example/", b"GET"),
        (b"http://a.example#x", b"GET"),
        (b"http://a.example/#x", b"GET"),
        (b"http://a.example/b\n", b"GET"),
        (b"http://a.example\n", b"GET"),
        (b"/a?b#c", b"GET"),
        (b"/a?b c", b"GET"),
        (b"/a?b\n", b"GET"),
        (b"/a?b\x00", b"GET"),
        (b"/a?\x7f", b"GET"),
        (b"/a?\xc3\xa9", b"GET"),
    ],
)
def test_refused_forms(raw: bytes, method: bytes) -> None:
    with pytest.raises(HttpError) as caught:
        parse_target(raw, method)
    assert caught.value.reason is Reason.BAD_REQUEST
    assert caught.value.status == 400


@pytest.mark.parametrize("byte", range(256))
def test_every_byte_in_a_path(byte: int) -> None:
    raw = b"/a" + bytes([byte]) + b"b"
    if 0x21 <= byte <= 0x7E and byte not in b"#\\%?":
        assert parse_target(raw, b"GET") == (raw, b"", None)
    elif byte == ord("?"):
        assert parse_target(raw, b"GET") == (b"/a", b"?b", None)
    else:
        with pytest.raises(HttpError):
            parse_target(raw, b"GET")


@pytest.mark.parametrize("code", range(256))
def test_every_escape_in_a_path(code: int) -> None:
    for escape in (b"%%%02x" % code, b"%%%02X" % code):
        if code == 0:
            with pytest.raises(HttpError):
                normalise_path(b"/a" + escape)
            continue
        character = bytes([code])
        expected = character if re.fullmatch(rb"[A-Za-z0-9._~-]", character) else escape.upper()
        assert normalise_path(b"/a" + escape) == b"/a" + expected


# Pieces that meet in the rules, so that a random path exercises them rather than the alphabet.
PIECES = st.sampled_from(b"/ // . .. ... ; a B %2e %2E %2f %5C %3b %41 %25 %c3".split())
PATHS = st.lists(PIECES, max_size=12).map(lambda pieces: b"/" + b"".join(pieces))


@given(PATHS)
def test_normalisation_is_idempotent_and_leaves_one_meaning(raw: bytes) -> None:
    try:
        path = normalise_path(raw)
    except HttpError:
        return
    assert normalise_path(path) == path
    for piece in re.split(rb"[/\\]", unquote_to_bytes(path)):
        assert piece not in (b".", b"..")
        assert not piece.startswith((b".;", b"..;"))
    assert parse_target(raw, b"GET") == (path, b"", None)


@given(PATHS)
def test_a_path_without_escapes_means_what_rfc_3986_says(raw: bytes) -> None:
    if b"%" in raw or b";" in raw:
        return
    kept: list[bytes] = []
    segments = raw.split(b"/")[1:]
    climbs = False
    for segment in segments:
        if segment == b"..":
            climbs = climbs or not kept
            kept = kept[:-1]
        elif segment != b".":
            kept = [*kept, segment]
    if climbs:
        with pytest.raises(HttpError):
            normalise_path(raw)
        return
    folder = segments[-1] in (b".", b"..")
    assert normalise_path(raw) == b"/" + b"/".join([*kept, b""] if folder else kept)


@given(st.binary(max_size=40), st.sampled_from([b"GET", b"OPTIONS", b"CONNECT"]))
def test_no_bytes_raise_anything_but_an_http_error(raw: bytes, method: bytes) -> None:
    try:
        path, query, _ = parse_target(raw, method)
    except HttpError as error:
        assert error.reason is Reason.BAD_REQUEST
        return
    assert path == b"*" or path.startswith(b"/")
    assert not query or query.startswith(b"?")
