"""Body framing, ours alone: strict chunked coding (RFC 9112 7.1). Fixed lengths are a subtraction and live with callers.

A decoder is fed whatever arrived and says what is content, where the message ended, and what came behind it. It holds at
most one line (a chunk size or a trailer section) and never content.
"""

from __future__ import annotations

from enum import IntEnum

from fastgw.errors import HttpError, Reason
from fastgw.http1 import rules
from fastgw.http1.fields import FieldParser, lines_of


class _State(IntEnum):
    SIZE = 0  # waiting for a chunk-size line
    DATA = 1  # inside chunk-data
    DATA_END = 2  # waiting for the CRLF behind chunk-data
    TRAILER = 3  # waiting for the end of the trailer section
    DONE = 4


class ChunkedDecoder:
    """`feed` returns the content that the bytes held; `done` then says whether the last chunk and its trailers came.

    Raises HttpError with BAD_FRAMING (callers towards an upstream turn that into UPSTREAM_PROTOCOL_ERROR).
    """

    __slots__ = ("_left", "_line", "_lines", "_parser", "_state", "_trailer_size", "rest", "trailers")

    def __init__(self, parser: FieldParser) -> None:
        self._parser = parser
        self._state = _State.SIZE
        self._left = 0  # content bytes of this chunk still to come
        self._line = b""  # the unfinished line
        self._lines: list[bytes] = []  # of the trailer section
        self._trailer_size = 0
        self.trailers = b""  # forwardable trailer lines, each with its CRLF
        self.rest = b""  # what came behind the end of the message

    @property
    def done(self) -> bool:
        return self._state is _State.DONE

    def feed(self, data: bytes) -> list[bytes]:
        """Content pieces, in order. Copies each piece once (a slice); a read that is all content is not copied."""
        pieces: list[bytes] = []
        at = 0
        end = len(data)
        while at < end:
            state = self._state
            if state is _State.DATA:
                stop = at + self._left
                if stop > end:
                    pieces.append(data[at:] if at else data)
                    self._left = stop - end
                    return pieces
                pieces.append(data[at:stop])
                at = stop
                self._state = _State.DATA_END
            elif state is _State.SIZE:
                at = self._size(data, at)
            elif state is _State.DATA_END:
                at = self._data_end(data, at)
            elif state is _State.TRAILER:
                at = self._trailer(data, at)
            else:
                break
        if self._state is _State.DONE and at < end:
            self.rest = data[at:]
        return pieces

    def _size(self, data: bytes, at: int) -> int:
        newline = data.find(b"\n", at)
        line = self._line + (data[at:] if newline < 0 else data[at : newline + 1])
        if newline < 0:
            self._unfinished_size(line)
            return len(data)
        self._line = b""
        if not line.endswith(b"\r\n"):
            raise HttpError(Reason.BAD_FRAMING, "a chunk-size line does not end with CRLF")
        self._left = _chunk_size(line[:-2])
        self._state = _State.DATA if self._left else _State.TRAILER
        return newline + 1

    def _unfinished_size(self, line: bytes) -> None:
        """Refuse on arrival what no continuation can mend; the bounds of digits and extension bound the line."""
        body = line[:-1] if line.endswith(b"\r") else line
        if body:
            _chunk_size(body)
        elif line:
            raise HttpError(Reason.BAD_FRAMING, "a chunk size is missing")
        self._line = line

    def _data_end(self, data: bytes, at: int) -> int:
        want = b"\r\n"[len(self._line) :]
        got = data[at : at + len(want)]
        if not want.startswith(got):
            raise HttpError(Reason.BAD_FRAMING, "chunk data is not followed by CRLF")
        if len(got) == len(want):
            self._line = b""
            self._state = _State.SIZE
        else:
            self._line += got
        return at + len(got)

    def _trailer(self, data: bytes, at: int) -> int:
        """The trailer section, line by line up to the empty one. Its lines are gathered, so it is bounded."""
        newline = data.find(b"\n", at)
        if newline < 0:
            self._line += data[at:]
            if self._line != b"\r":  # perhaps of the empty line, which does not count: no bound moves with the cut
                self._bounded(len(self._line))
            if rules.ILLEGAL_PARTIAL_SEARCH.search(self._line):
                raise HttpError(Reason.BAD_FRAMING, "a trailer line holds an illegal byte or line end")
            return len(data)
        line = self._line + data[at : newline + 1]
        self._line = b""
        if line == b"\r\n":
            self.trailers = forwardable_trailers(b"".join(self._lines), self._parser)
            self._lines = []
            self._state = _State.DONE
            return newline + 1
        self._bounded(len(line))
        if not rules.BLOCK.fullmatch(line):
            raise HttpError(Reason.BAD_FRAMING, "a trailer line is not `name: value` with CRLF")
        self._trailer_size += len(line)
        self._lines.append(line)
        return newline + 1

    def _bounded(self, more: int) -> None:
        if self._trailer_size + more > rules.MAX_TRAILER or len(self._lines) >= rules.MAX_FIELDS:
            raise HttpError(Reason.HEADER_TOO_LARGE, f"a trailer section of more than {rules.MAX_TRAILER} bytes")


def _chunk_size(line: bytes) -> int:
    """Plain hex, then at most an extension. Space before the semicolon (bad whitespace in RFC 9112) is refused."""
    size, semicolon, extension = line.partition(b";")
    if semicolon:
        if len(extension) > rules.MAX_CHUNK_EXTENSION:
            raise HttpError(Reason.BAD_FRAMING, f"chunk extensions of more than {rules.MAX_CHUNK_EXTENSION} bytes")
        if not rules.CHUNK_EXTENSION.fullmatch(extension):
            raise HttpError(Reason.BAD_FRAMING, "a chunk extension holds a control character")
    if not rules.CHUNK_SIZE.fullmatch(size):
        raise HttpError(Reason.BAD_FRAMING, "a chunk size is not plain hex of at most 15 digits")
    return int(size, 16)


def forwardable_trailers(block: bytes, parser: FieldParser) -> bytes:
    """The trailer lines that may pass (RFC 9110 6.5.1), each with its CRLF. Raises HttpError like a header block."""
    if not block:
        return b""
    parser.parse(block)
    kept = [
        line
        for name, line in lines_of(block)
        if name not in rules.NOT_IN_TRAILERS
        and b"_" not in name
        and not name.startswith((rules.FORWARDED_PREFIX, rules.CONSUMER_PREFIX))
    ]
    return b"".join(kept)


def chunk(pieces: list[bytes]) -> bytes:
    """All content of one read as one chunk (RFC 9112 7.1); never the last chunk."""
    size = sum(map(len, pieces))
    if not size:
        return b""
    return b"".join((b"%x\r\n" % size, *pieces, b"\r\n"))


def last_chunk(trailers: bytes) -> bytes:
    return b"0\r\n" + trailers + b"\r\n"
