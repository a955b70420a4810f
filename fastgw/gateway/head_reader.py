"""From the bytes of a request head to an exchange, or to the rule that they break. The client half of the hot path.

What lives here: the order of the checks on a head, whole or in parts. What may not: sockets, answers, deadlines.
"""

from __future__ import annotations

from typing import Final

from fastgw.errors import HttpError, Reason
from fastgw.http1 import rules
from fastgw.http1.fields import FieldParser
from fastgw.http1.host import same_authority
from fastgw.http1.memo import KNOWN, Memo, Streak
from fastgw.http1.request import check_version, parse_request_block, parse_request_line
from fastgw.http1.target import parse_target
from fastgw.http1.volatile import stands_elsewhere, take_out, value_of
from fastgw.model.exchange import Exchange
from fastgw.model.messages import RequestHead, RequestLine

# Applications have more paths than clients have header blocks: only after so many new lines in a row is nothing to gain.
LINES_GIVEN_UP_AFTER: Final = 4096
_NO_CRLF: Final = "a line does not end with CRLF"
REQUEST_LINE_SLACK: Final = rules.MAX_METHOD + 16  # method, spaces, version


class HeadReader:
    """One per worker: the parser, and the memos of request lines and header blocks."""

    __slots__ = ("_streak", "lines", "max_header_size", "memo", "parser")

    def __init__(self) -> None:
        self.memo: Memo[RequestHead] = Memo()
        self.lines: Memo[RequestLine] = Memo()
        self._streak = Streak(LINES_GIVEN_UP_AFTER)  # of all connections: lines repeat, or not, by application
        self.parser = FieldParser()
        self.max_header_size = 32 * 1024  # of the snapshot; kept current by the data plane

    def read(self, raw: bytes, end: int, streak: Streak, now: float) -> Exchange:
        """Hot. The exchange of the head `raw[:end]` (`end` is where its empty line begins). Raises HttpError."""
        eol = raw.find(b"\r\n")
        if end > self.max_header_size or eol > rules.MAX_TARGET:
            self._sizes(raw[:eol], end)
        block = raw[eol + 2 : end + 2]
        if streak.skip:
            head = self._look_closer(raw, eol + 2, end + 2, block, streak)
        else:
            found = self.memo.young.get(block)
            if found is not None:
                streak.misses = 0
                head = found
            else:
                head = self._remember(block, streak)
                streak.learn(block)
        text = raw[:eol]
        line = self.lines.young.get(text)
        if line is None:
            line = self._line(text)
        else:
            self._streak.misses = 0
        if line.odd or not head.host_field:
            if line.authority is not None:
                head = self._authority(head, block, line.authority, line.http10)
            check_version(head, line.http10)
        exchange = Exchange(head, line.method, line.path, line.query, line.http10, now, end + 4)
        exchange.line = line
        return exchange

    def _line(self, text: bytes) -> RequestLine:
        """A request line that is not in the younger generation of its memo, or whose memo is given up."""
        lines = self.lines
        streak = self._streak
        if streak.skip:
            streak.skip -= 1
        else:
            known = lines.promote(text)
            if known is not None:
                streak.misses = 0
                return known
        method, target, http10 = parse_request_line(text)
        path, query, authority = parse_target(target, method)
        line = RequestLine(method, path, query, http10, authority)
        if not streak.skip:
            streak.missed()
            lines.store(text, line)
        return line

    def _remember(self, block: bytes, streak: Streak) -> RequestHead:
        """Not in the younger generation: the older one, or the parser."""
        memo = self.memo
        memo.misses += 1
        head = memo.promote(block)
        if head is None:
            head = parse_request_block(block, self.parser)
            memo.store(block, head)
            streak.missed()
        return head

    def _look_closer(self, raw: bytes, start: int, end: int, block: bytes, streak: Streak) -> RequestHead:
        """The memo is given up on this connection, or heads are remembered without their volatile line."""
        volatile = streak.volatile
        if volatile is None or streak.skip != KNOWN:
            streak.skip -= 1
            return parse_request_block(block, self.parser)
        parts = take_out(raw, volatile.marker, start, end)
        if parts is not None:
            rest, line = parts
            head = self.memo.young.get(rest)
            if head is None:
                head = self._remember(rest, streak)
            else:
                streak.misses = 0
            if not stands_elsewhere(volatile.name, head.fields) and len(head.fields) < rules.MAX_FIELDS:
                return head.with_line(volatile.name, value_of(line), line)
        else:
            streak.missed()
        return parse_request_block(block, self.parser)

    def _authority(self, head: RequestHead, block: bytes, authority: bytes, http10: bool) -> RequestHead:
        """RFC 9112 3.2.2. A Host that differs from the target is refused, not replaced: somebody is confused."""
        if head.host_field:
            if not same_authority(head.host_field, authority):
                raise HttpError(Reason.BAD_REQUEST, "Host differs from the authority of the target")
            return head
        if not http10:
            return head  # refused by check_version: RFC 9112 3.2 wants Host in the absolute form too
        return parse_request_block(block + b"Host: " + authority + b"\r\n", self.parser)

    def blame(self, error: HttpError, line: bytes) -> HttpError:
        """A stray line end in the request line is the cause, whatever rule noticed it."""
        if b"\r" in line or b"\n" in line:
            return HttpError(Reason.BAD_FRAMING, _NO_CRLF)
        return error

    def check_part(self, raw: bytes, scanned: int, skipped: bool) -> None:
        """Part of a head, whose first `scanned` bytes were checked before. Raises HttpError for what no continuation
        can mend: a byte that no head can hold, a first byte that starts no method, a size beyond its bound."""
        first = raw[:1]
        if not rules.TOKEN.fullmatch(first) and not (raw == b"\r" and not skipped):
            if first == b"\n" or (first == b"\r" and raw[1:2] not in (b"", b"\n")):
                raise HttpError(Reason.BAD_FRAMING, _NO_CRLF)
            raise HttpError(Reason.BAD_REQUEST, "the first byte starts no method")
        bad = rules.ILLEGAL_PARTIAL_SEARCH.search(raw, max(0, scanned - 1))
        if bad:
            if bad.group() in (b"\r", b"\n"):
                raise HttpError(Reason.BAD_FRAMING, _NO_CRLF)
            raise HttpError(Reason.BAD_REQUEST, "a control character in the request head")
        eol = raw.find(b"\r\n")
        if eol < 0:
            if len(raw) > rules.MAX_TARGET + REQUEST_LINE_SLACK:
                raise _too_long()
        elif eol > rules.MAX_TARGET or len(raw) > self.max_header_size:
            self._sizes(raw[:eol], len(raw) - 3)

    def _sizes(self, line: bytes, end: int) -> None:
        if len(line) > rules.MAX_TARGET:
            parts = line.split(b" ")
            if len(line) > rules.MAX_TARGET + REQUEST_LINE_SLACK or max(map(len, parts)) > rules.MAX_TARGET:
                raise _too_long()
        if end > self.max_header_size:
            raise HttpError(Reason.HEADER_TOO_LARGE, "the request head is larger than max_header_size")


def _too_long() -> HttpError:
    return HttpError(Reason.URI_TOO_LONG, f"the target is longer than {rules.MAX_TARGET} bytes")


def method_of(line: bytes) -> bytes:
    """The method of a request line that was refused, for the log; empty where there is none."""
    method = line.partition(b" ")[0]
    return method if len(method) <= rules.MAX_METHOD and rules.TOKEN.fullmatch(method) else b""
