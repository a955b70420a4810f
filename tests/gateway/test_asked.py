from __future__ import annotations

import pytest

from fastgw.gateway.asked import DEFAULT_CLIENT, client_address, header_field, parse_request

LEGAL = [
    ("GET https://api.example.com/orders/7", b"GET /orders/7 HTTP/1.1\r\nHost: api.example.com\r\n\r\n"),
    ("  GET   http://a:8080/x?y=1  ", b"GET /x?y=1 HTTP/1.1\r\nHost: a:8080\r\n\r\n"),
    ("POST HTTP://[::1]:80", b"POST / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"),
    ("GET http://a?x", b"GET /?x HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("OPTIONS http://a", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("OPTIONS http://a/", b"OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n"),
    # Whatever a client can send is judged by the gateway, not here.
    ("GET http://a/../x%zz", b"GET /../x%zz HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("GET http://-:99999/", b"GET / HTTP/1.1\r\nHost: -:99999\r\n\r\n"),
]

REFUSED = [
    ("", "write a method and a URL"),
    ("http://a/", "write a method and a URL"),
    ("GET", "write a method and a URL"),
    ("GET /orders/7", "is no whole URL"),
    ("GET a.example.com/orders", "is no whole URL"),
    ("GET ftp://a/", "is no whole URL"),
    ("GET http:///x", "is no whole URL"),
    ("get http://a/", "write GET"),
    ("G(T http://a/", "write a method and a URL"),
    (f"{'A' * 33} http://a/", "write a method and a URL"),
    ("GET http://a/x#y", "remove it"),
    ("GET http://me:secret@a/", "write the header authorization"),
    ("GET http://a/x y", "percent-encode"),
    ("GET http://a/ü", "percent-encode"),
    ("GET http://a/x\r\nX: y", "percent-encode"),
    ("GET http://a/\0", "percent-encode"),
]


@pytest.mark.parametrize(("text", "raw"), LEGAL)
def test_a_request_becomes_the_bytes_that_a_client_sends(text: str, raw: bytes) -> None:
    assert parse_request(text).raw() == raw


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_what_is_no_request_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_request(text)


def test_fields_stand_behind_host_in_their_order() -> None:
    request = parse_request("GET http://a/", [("B", "2"), ("A", "1"), ("B", "3")])
    assert request.raw() == b"GET / HTTP/1.1\r\nHost: a\r\nB: 2\r\nA: 1\r\nB: 3\r\n\r\n"
    assert request.client == DEFAULT_CLIENT


def test_a_host_among_the_fields_replaces_the_one_of_the_url() -> None:
    request = parse_request("GET http://127.0.0.1:8080/", [("hOsT", "api.example.com")])
    assert request.raw() == b"GET / HTTP/1.1\r\nhOsT: api.example.com\r\n\r\n"
    assert request.port == 8080


@pytest.mark.parametrize(
    ("authority", "port"), [("a", 0), ("a:1", 1), ("[::1]", 0), ("[::1]:81", 81), ("a:", 0), ("a:999999", 0)]
)
def test_the_port_of_the_url(authority: str, port: int) -> None:
    assert parse_request(f"GET http://{authority}/").port == port


@pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "a\rb", "a\0b", "\n", "a\ud800", "\udcff"])
def test_no_value_can_begin_another_field(value: str) -> None:
    with pytest.raises(ValueError, match="the header X holds a line break") as caught:
        header_field("X", value)
    assert value.strip() not in str(caught.value) or not value.strip()


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "ü", "(x)"])
def test_no_name_can_be_more_than_a_name(name: str) -> None:
    with pytest.raises(ValueError, match="is no header name"):
        parse_request("GET http://a/", [(name, "x")])


@pytest.mark.parametrize(
    ("text", "address"),
    [("203.0.113.9", "203.0.113.9"), ("::FFFF:1.2.3.4", "1.2.3.4"), ("FD00::1", "fd00::1")],
)
def test_the_address_of_the_client(text: str, address: str) -> None:
    assert client_address(text) == address


@pytest.mark.parametrize("text", ["", "1.2.3", "a.example.com", "fe80::1%eth0", "10.0.0.0/8"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="is no address; write for example"):
        client_address(text)
