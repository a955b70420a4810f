"""The lines of a pipe: whole objects go on, the operator's lines are separated, everything else is dropped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgw.supervisor.logger import ForeignReader, PipeReader


def fed(*chunks: bytes) -> tuple[bytes, list[bytes]]:
    reader = PipeReader()
    objects, notes = b"", []
    for chunk in chunks:
        more, told = reader.feed(chunk)
        objects += more
        notes += told
    return objects, notes


@pytest.mark.parametrize(
    ("data", "objects", "notes"),
    [
        (b'{"a":1}\n{"b":2}\n', b'{"a":1}\n{"b":2}\n', []),
        (b'!told\n{"a":1}\n', b'{"a":1}\n', [b"told"]),
        (b'{"a":1}\n!told\n', b'{"a":1}\n', [b"told"]),
        (b"!ends like an object}\n", b"", [b"ends like an object}"]),
        # A worker was killed inside a line; its successor begins with an empty note.
        (b'{"torn!\n{"a":1}\n', b'{"a":1}\n', []),
        (b'!\n{"a":1}\n', b'{"a":1}\n', []),
        (b"torn}x!\n", b"", []),
        (b"!\n", b"", []),
        (b'{"path":"/a!b"}\n', b'{"path":"/a!b"}\n', []),
    ],
)
def test_lines_are_sorted(data, objects, notes):
    assert fed(data) == (objects, notes)
    assert fed(*(data[at : at + 1] for at in range(len(data)))) == (objects, notes)


@given(st.lists(st.sampled_from([b'{"a":1}\n', b"!note\n", b"!\n", b'{"torn!\n', b"{}\n"])), st.data())
def test_where_the_reads_end_makes_no_difference(lines, data):
    whole = b"".join(lines)
    cut = data.draw(st.integers(0, len(whole)))
    assert fed(whole[:cut], whole[cut:]) == fed(whole)


def test_a_line_without_an_end_is_bounded():
    reader = PipeReader()
    for _ in range(100):
        reader.feed(b"x" * 65536)
    assert len(reader._rest) <= 256 * 1024 + 65536
    reader.feed(b"\n")
    assert reader.feed(b'{"a":1}\n') == (b'{"a":1}\n', [])


def test_the_rest_of_a_line_whose_beginning_went_with_another_logger_is_dropped():
    assert fed(b'"path":"/a"}\n{"a":1}\n', b'{"b":2}\n') == (b'{"a":1}\n{"b":2}\n', [])


def foreign(*chunks: bytes) -> list[bytes]:
    reader = ForeignReader()
    return [note for chunk in chunks for note in reader.feed(chunk)[1]]


@pytest.mark.parametrize(
    ("data", "notes"),
    [
        (b"12:M * Ready\n", [b"12:M * Ready"]),
        # Whatever it looks like, it is for the operator, and no line of the access log.
        (b'{"a":1}\n!told\r\n', [b'{"a":1}', b"!told"]),
        (b"\n \n", []),
        (b"# WARNING Memory overcommit must be enabled!\n12:M # trouble\n", [b"12:M # trouble"]),
        (b"no end yet", []),
    ],
)
def test_the_lines_of_another_server_are_for_the_operator(data, notes):
    expected = [b"fastgw: valkey: " + note for note in notes]
    assert foreign(data) == expected
    assert foreign(*(data[at : at + 1] for at in range(len(data)))) == expected
    assert ForeignReader().feed(data)[0] == b""


def test_a_line_of_another_server_without_an_end_is_bounded():
    reader = ForeignReader()
    for _ in range(100):
        reader.feed(b"x" * 65536)
    assert len(reader._rest) <= 256 * 1024
