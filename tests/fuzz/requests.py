"""Strategies for request bytes: mostly legal, with one or a few things wrong, and cut anywhere."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st

ODD_BYTES = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"\xff",
    b"\x7f",
    b"0",
    b"5",
    b"a",
    b"/",
    b"%",
]

SEGMENTS = [
    "a", "b", "admin", "public", "exact", "item", ".", "..", "...", "%2e", "%2E%2e", ".%2e", "%61dmin", "%2f", "..%2f",
    "%2f..", "%5c", "..%5c", "%5c..", "..;", "..;x", "a;x=1", ";", "", "%00", "%", "%zz", "%4", "%20", "%0d%0a", "%25",
    "%252e%252e", "%252f", "~", "%7e", "a%2fb", "@", "a:b", "\\", "#", "+", "admin%2fexact", "%C3%A9", "\xe9", ".a", "a.",
]  # fmt: skip


def targets() -> st.SearchStrategy[bytes]:
    paths = st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=5).map(
        lambda parts: "/" + "/".join(parts)
    )
    queries = st.sampled_from(["", "", "?", "?a=b", "?/../x", "?a?b", "?%2e%2e%2f", "?%", "?\\", "?#"])
    prefix = st.sampled_from(
        ["", "", "", "http://test.example", "http://other.example", "HTTP://TEST.example:80"]
    )
    return st.builds(
        lambda before, path, query: (before + path + query).encode("latin-1"), prefix, paths, queries
    )


LEGAL_FIELDS = [
    b"X-A: 1", b"X-B:", b"Accept: */*", b"Cookie: a=1", b"X-Hop: 1", b"Connection: keep-alive", b"TE: trailers",
    b"X-A: \t2 ", b"X_Under: 1", b"Via: 1.1 other",
]  # fmt: skip
ODD_FIELDS = [
    b"Content-Length: 5", b"Content-Length: 0", b"Content-Length: 05", b"Content-Length: +5", b"Content-Length: 5,5",
    b"Content-Length : 5", b"content-length: 6", b"Content_Length: 50", b"Content-Length: ", b"Content-Length: 5 5",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: Chunked", b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding : chunked", b"Transfer-Encoding:\tchunked",
    b"Transfer-Encoding: identity", b"Transfer-Encoding: x", b"Transfer_Encoding: chunked", b"transfer-encoding: chunked",
    b"Host: test.example", b"Host: other.example", b"Host:", b"Host: a b", b"Host: a@b", b" folded: 1", b"\tfolded",
    b"Connection: close", b"Connection: content-length", b"Connection: host", b"Connection: x-hop", b"no colon",
    b": no name", b"X(: 1", b"Expect: 100-continue", b"Upgrade: h2c", b"Upgrade: websocket", b"Connection: upgrade",
    b"HTTP2-Settings: x",
]  # fmt: skip
BODIES = [
    b"", b"12345", b"5\r\n12345\r\n0\r\n\r\n", b"0\r\n\r\n", b"5;a=b\r\n12345\r\n0\r\nX-T: 1\r\n\r\n",
    b"5\r\n123456\r\n0\r\n\r\n", b"0x5\r\n12345\r\n0\r\n\r\n", b"5\n12345\r\n0\r\n\r\n", b"5 \r\n12345\r\n0\r\n\r\n",
    b"-5\r\n12345\r\n0\r\n\r\n", b"0000000000000005\r\n12345\r\n0\r\n\r\n", b"5\r\n12345\r\n0\r\nbad trailer\r\n\r\n",
]  # fmt: skip
METHODS = [b"GET", b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH", b"get", b"G@T", b"BREW"]
VERSIONS = [b"HTTP/1.1"] * 8 + [b"HTTP/1.0", b"HTTP/1.2", b"http/1.1", b"HTTP/1"]


@st.composite
def requests(draw: st.DrawFn, wild_targets: bool = False) -> bytes:
    method = draw(st.sampled_from(METHODS))
    target = draw(targets()) if wild_targets or draw(st.integers(0, 5)) == 0 else b"/admin/x"
    version = draw(st.sampled_from(VERSIONS))
    fields = draw(st.lists(st.sampled_from(LEGAL_FIELDS), max_size=3))
    fields += draw(st.lists(st.sampled_from(ODD_FIELDS), max_size=2))
    if draw(st.integers(0, 9)):
        fields.append(b"Host: test.example")
    fields = draw(st.permutations(fields))
    body = draw(st.sampled_from(BODIES))
    return (
        method
        + b" "
        + target
        + b" "
        + version
        + b"\r\n"
        + b"".join(one + b"\r\n" for one in fields)
        + b"\r\n"
        + body
    )


@st.composite
def mutated(draw: st.DrawFn, messages: st.SearchStrategy[bytes], most: int = 3) -> bytes:
    data = draw(messages)
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, most]))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        odd = draw(st.sampled_from(ODD_BYTES))
        how = draw(st.sampled_from(["insert", "replace", "delete", "double"]))
        if how == "insert":
            data = data[:at] + odd + data[at:]
        elif how == "replace":
            data = data[:at] + odd + data[at + 1 :]
        elif how == "delete":
            data = data[:at] + data[at + 1 :]
        else:
            data = data[:at] + data[at : at + 4] + data[at:]
    return data


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The same bytes in up to four writes."""
    places = sorted({0, len(data), *draw(st.lists(st.integers(0, len(data)), max_size=3))})
    return [data[start:end] for start, end in itertools.pairwise(places)]


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Up to three requests one after the other, in writes of any size."""
    data = b"".join(draw(st.lists(mutated(requests()), min_size=1, max_size=3)))
    return draw(cuts(data))
