"""What a Host value may be, and which name it is matched by."""

from __future__ import annotations

import pytest

from fastgw.errors import HttpError, Reason
from fastgw.http1.host import same_authority, split_host, valid_host

ACCEPTED = [
    (b"example.com", b"example.com", b""),
    (b"EXAMPLE.Com", b"example.com", b""),
    (b"example.com.", b"example.com", b""),
    (b"example.com.:8080", b"example.com", b"8080"),
    (b"example.com:", b"example.com", b""),  # RFC 3986 3.2.3: a port may be empty
    (b"example.com:00080", b"example.com", b"80"),
    (b"example.com:65535", b"example.com", b"65535"),
    (b"localhost", b"localhost", b""),
    (b"my_service", b"my_service", b""),
    (b"xn--caf-dma.example", b"xn--caf-dma.example", b""),
    (b"127.0.0.1:80", b"127.0.0.1", b"80"),
    (b"999.1.1.1", b"999.1.1.1", b""),  # a legal name, if an odd one
    (b"[::1]", b"[::1]", b""),
    (b"[::1]:443", b"[::1]", b"443"),
    (b"[0:0:0:0:0:0:0:1]", b"[::1]", b""),
    (b"[2001:DB8::A]", b"[2001:db8::a]", b""),
    (b"[::ffff:192.0.2.1]", b"[::ffff:c000:201]", b""),
    (b"a" * 255, b"a" * 255, b""),
]

REFUSED = [
    b"", b".", b":", b":80", b".example.com", b"a..b", b"a..", b"a b", b" a", b"a ", b"a\tb",
    b"a\n", b"a\r\n", b"\na", b"a\x00", b"a\x7f", b"\xe9.example", b"a.example, b.example",
    b"a.example,b.example", b"a/b", b"a?b", b"a#b", b"a\\b", b"a@b", b"user:pw@a", b"http://a",
    b"a:http", b"a:-1", b"a:+1", b"a:0", b"a:65536", b"a:123456", b"a:80:80", b"a:8 0", b"a%2eb",
    b"a%", b"\"a\"", b"<a>", b"a|b", b"a^b", b"a`b", b"{a}", b"[a]", b"[", b"[]", b"[::1", b"::1]",
    b"::1", b"[::1]x", b"[zz]", b"[::1%25eth0]", b"[v1.x]", b"[1.2.3.4]", b"[:::]", b"[::1]:a",
    b"[::1].", b"a" * 256,
]  # fmt: skip


@pytest.mark.parametrize(("raw", "name", "port"), ACCEPTED)
def test_accepts(raw: bytes, name: bytes, port: bytes) -> None:
    assert split_host(raw) == (name, port)
    assert valid_host(raw) == name


@pytest.mark.parametrize("raw", REFUSED)
def test_refuses(raw: bytes) -> None:
    with pytest.raises(HttpError) as caught:
        valid_host(raw)
    assert caught.value.reason is Reason.BAD_REQUEST


@pytest.mark.parametrize("byte", [byte for byte in range(256) if bytes([byte]) not in (b".", b":")])
def test_every_byte_is_a_name_character_or_refused(byte: int) -> None:
    allowed = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~!$&'()*+;="
    value = b"a" + bytes([byte]) + b"b"
    if byte in allowed:
        assert valid_host(value) == value.lower()
    else:
        with pytest.raises(HttpError):
            valid_host(value)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b"a.example", b"A.example", True),
        (b"a.example", b"a.example.", True),
        (b"a.example", b"a.example:80", True),
        (b"a.example:443", b"a.example", True),
        (b"a.example:81", b"a.example:081", True),
        (b"a.example:81", b"a.example:82", False),
        (b"a.example:81", b"a.example", False),
        (b"a.example:80", b"a.example:443", False),
        (b"a.example", b"b.example", False),
        (b"[::1]", b"[0:0::1]:80", True),
    ],
)
def test_same_authority(one: bytes, other: bytes, same: bool) -> None:
    assert same_authority(one, other) is same
    assert same_authority(other, one) is same


@pytest.mark.parametrize(("one", "other"), [(b"a b", b"a b"), (b"a", b"a,b"), (b"", b"a")])
def test_same_authority_refuses_what_is_no_host(one: bytes, other: bytes) -> None:
    with pytest.raises(HttpError):
        same_authority(one, other)
