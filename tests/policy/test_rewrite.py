"""What a rewrite makes of paths and fields. (What an operator may write is tested with the document.)"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fastgw.http1.target import normalise_path
from fastgw.policy.rewrite import (
    HeaderRewriteOptions,
    PathRewriteOptions,
    compile_header_rewrite,
    compile_path_rewrite,
)


@pytest.mark.parametrize(
    ("strip", "add", "path", "rewritten"),
    [
        ("/orders", "/v2", b"/orders/7", b"/v2/7"),
        ("/orders", "/v2", b"/orders", b"/v2"),
        ("/orders", "/v2", b"/orders/", b"/v2/"),
        ("/orders", "/v2", b"/orders//7", b"/v2//7"),
        ("/orders", "/v2", b"/ordersx", b"/v2/ordersx"),
        ("/orders", "/v2", b"/other/orders/7", b"/v2/other/orders/7"),
        ("/orders", None, b"/orders", b"/"),
        ("/orders", None, b"/orders/", b"/"),
        ("/orders", None, b"/orders/7", b"/7"),
        ("/orders", None, b"/orders/orders/7", b"/orders/7"),
        ("/orders", None, b"/", b"/"),
        ("/a/b", None, b"/a/b/c", b"/c"),
        ("/a/b", None, b"/a/bc", b"/a/bc"),
        (None, "/v2", b"/", b"/v2/"),
        (None, "/v2", b"/x", b"/v2/x"),
        ("/caf%c3%a9", None, b"/caf%C3%A9/x", b"/x"),  # either spelling, like the path it is compared with
        ("/%41", "/%42", b"/A/x", b"/B/x"),
    ],
)
def test_path(strip: str | None, add: str | None, path: bytes, rewritten: bytes) -> None:
    rewrite = compile_path_rewrite(PathRewriteOptions(strip_prefix=strip, add_prefix=add))
    assert rewrite is not None
    assert rewrite.apply(path) == rewritten


def test_nothing_to_rewrite_is_no_rewrite() -> None:
    assert compile_path_rewrite(PathRewriteOptions()) is None
    assert compile_header_rewrite(HeaderRewriteOptions()) is None


@pytest.mark.parametrize(
    "prefix", ["", "/", "a", "/a/", "//", "/a b", "/a?b", "/a#b", "/a\\b", "/..", "/a/../b", "/a\n"]
)
def test_prefix_is_refused(prefix: str) -> None:
    for key in ("strip_prefix", "add_prefix"):
        with pytest.raises(ValidationError):
            PathRewriteOptions(**{key: prefix})


SEGMENTS = st.lists(st.sampled_from([b"a", b"b", b"ab", b""]), min_size=1, max_size=5)


@given(SEGMENTS, st.sampled_from([None, "/a", "/a/b"]), st.sampled_from([None, "/x", "/x/y"]))
def test_a_rewritten_path_is_a_normalised_path(
    segments: list[bytes], strip: str | None, add: str | None
) -> None:
    rewrite = compile_path_rewrite(PathRewriteOptions(strip_prefix=strip, add_prefix=add))
    if rewrite is not None:
        rewritten = rewrite.apply(b"/" + b"/".join(segments))
        assert rewritten == normalise_path(rewritten)


def test_fields() -> None:
    rewrite = compile_header_rewrite(
        HeaderRewriteOptions(set={"X-Gateway": "fastgw"}, remove=("X-Debug", "server"))
    )
    assert rewrite is not None
    assert rewrite.set == ((b"x-gateway", b"x-gateway: fastgw\r\n"),)
    assert rewrite.remove == {b"x-debug", b"server"}


@pytest.mark.parametrize(
    "name", ["content-length", "Transfer-Encoding", "connection", "host", "te", "upgrade", "a b", "a:"]
)
def test_framing_fields_are_out_of_reach(name: str) -> None:
    with pytest.raises(ValidationError):
        HeaderRewriteOptions(set={name: "1"})
    with pytest.raises(ValidationError):
        HeaderRewriteOptions(remove=(name,))


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\x00", " a"])
def test_a_value_cannot_end_its_line(value: str) -> None:
    with pytest.raises(ValidationError):
        HeaderRewriteOptions(set={"x-a": value})
