"""Field blocks for the tests of this folder: a plain parser to compare with, strategies, and heads made of lines."""

from __future__ import annotations

from hypothesis import strategies as st

from fastgw.http1.fields import FieldParser, lines_of
from fastgw.http1.request import parse_request_block, trusted_forward
from fastgw.model.messages import RequestHead

# Names that llhttp keeps state about, next to plain ones.
STATEFUL = [
    b"Connection",
    b"Upgrade",
    b"Content-Length",
    b"Transfer-Encoding",
    b"Proxy-Connection",
    b"Keep-Alive",
    b"TE",
]
VALUES = [
    b"", b"close", b"keep-alive", b"Upgrade", b"keep-alive, Upgrade", b"websocket", b"h2c", b"0", b"5",
    b"99999999999999999999", b"chunked", b"gzip, chunked", b"a, b", b":", b"a\tb", b"\x80\xff", b"trailers",
]  # fmt: skip
SPACE = st.sampled_from([b"", b" ", b"\t", b"  ", b" \t "])
TOKEN_BYTES = b"!#$%&'*+-.^_`|~0123456789ABCxyz"
VALUE_BYTES = [0x09, *range(0x20, 0x7F), 0x80, 0xC3, 0xFF]

names = st.one_of(
    st.sampled_from([*STATEFUL, *(name.lower() for name in STATEFUL), b"X-A", b"x-a", b"B"]),
    st.lists(st.sampled_from(TOKEN_BYTES), min_size=1, max_size=8).map(bytes),
)
values = st.one_of(
    st.sampled_from(VALUES),
    st.lists(st.sampled_from(VALUE_BYTES), max_size=12).map(lambda raw: bytes(raw).strip(b" \t")),
)
lines = st.tuples(names, SPACE, values, SPACE).map(
    lambda part: part[0] + b":" + part[1] + part[2] + part[3] + b"\r\n"
)
tight_lines = st.tuples(names, SPACE, values).map(lambda part: part[0] + b":" + part[1] + part[2] + b"\r\n")


def blocks_of(line: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(line, max_size=6).map(b"".join)


def plainly(block: bytes) -> dict[bytes, bytes]:
    """RFC 9110 5.3 and RFC 9112 5, one line after the other."""
    fields: dict[bytes, bytes] = {}
    for line in block.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        fields[name] = fields[name] + b", " + value if name in fields else value
    return fields


def head_of(*lines: bytes, host: bytes = b"a.example") -> RequestHead:
    block = b"Host: " + host + b"\r\n" if host else b""
    return parse_request_block(block + b"".join(line + b"\r\n" for line in lines), FieldParser())


def forwarded(*lines: bytes, trusted: bool = False) -> list[bytes]:
    """What of these lines goes upstream, without the Host lines."""
    head = head_of(*lines)
    block = trusted_forward(head) if trusted else head.forward
    return [line[:-2] for name, line in lines_of(block) if name not in (b"host", b"x-forwarded-host")]
