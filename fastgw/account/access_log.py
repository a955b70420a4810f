"""The access log of one worker: one JSON object a line, in batches, over a non-blocking pipe to the logger process.

A full pipe costs lines, which are counted, and never traffic. What lives here: the pipe and the line. What may not: which
exchanges are logged (ledger), files and terminals (the logger process).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from time import gmtime, strftime
from typing import Final

import orjson

from fastgw.account.tap import Tap
from fastgw.errors import Reason
from fastgw.model.exchange import Exchange

FLUSH_BYTES: Final = 256 * 1024  # of the pipe's 1 MiB; at full load one batch per FLUSH_SECONDS
FLUSH_SECONDS: Final = 0.01
MAX_TARGETS: Final = 4096  # of which the JSON is kept
MAX_PENDING: Final = 1024 * 1024  # bytes kept while the logger does not read; beyond it lines are dropped

# A line in the order of design section 12. What follows from the route, the method and the status is rendered once
# (`outcome`); the rest is one `%`: 0.9 us, orjson over a dict of the same fields 1.2 without the decoding it needs.
_LINE: Final = (
    b'{"ts":"%b.%03dZ","request_id":"%b","trace_id":"%b","client":"%b",%b,%b,'
    b'"bytes_in":%d,"bytes_out":%d,"duration_ms":%.3f,"gateway_ms":%.3f,"upstream_ms":%.3f,%b,"attempts":%d,'
    b'"cache":null,"limit":null,"version":%d,"worker":%b}\n'
)

# What is exchanged where it is not so: most exchanges have neither, and a `%b` more costs 40 ns.
NO_CONSUMER: Final = b'"consumer":null'
_NO_LIMIT: Final = b'"limit":null'


class AccessLog:
    """`enabled` false: exchanges are not rendered at all; operational lines still go through."""

    __slots__ = (
        "_armed", "_dropped", "_fd", "_later", "_lines", "_second", "_second_text", "_size", "_upstreams",
        "enabled", "tap", "worker",
    )  # fmt: skip

    def __init__(
        self, fd: int, worker: int, later: Callable[[float, Callable[[], None]], object], dropped: Callable[[int], None]
    ) -> None:
        """`later(seconds, call)` is the loop's call_later; `dropped(n)` is told how many lines were lost."""
        self._fd = fd
        self._later = later
        self._dropped = dropped
        self._lines: list[bytes] = []
        self._size = 0
        self._armed = False  # the flush timer runs
        self._second = -1
        self._second_text = b""
        self._upstreams: dict[str, tuple[str, bytes]] = {}  # target -> (its upstream, JSON of both)
        self.enabled = True
        self.tap: Tap | None = None  # while somebody looks on
        self.worker = b"%d" % worker

    def exchange(
        self, exchange: Exchange, outcome: bytes, wall: float, total: float, own: float, kept: bool = True
    ) -> bytes:
        """Hot: one line for a closed exchange. `outcome` is this module's `outcome` of it; times in seconds. Not `kept`:
        the line is for who looks on, and does not go to the log."""
        second = int(wall)
        if second != self._second:
            self._second = second
            self._second_text = strftime("%Y-%m-%dT%H:%M:%S", gmtime(second)).encode()
        where = self._upstreams.get(exchange.target)
        if where is None or where[0] != exchange.upstream:
            where = self._where(exchange.upstream, exchange.target)
        asked = exchange.line
        if asked is None or asked.logged_host != exchange.host:
            request = _request(exchange)
        else:
            request = asked.logged
        line = _LINE % (
            self._second_text, int((wall - second) * 1000.0), exchange.request_id, exchange.trace_id, exchange.client,
            request, outcome, exchange.bytes_in, exchange.bytes_out, total * 1e3, own * 1e3,
            exchange.upstream_seconds * 1e3, where[1], exchange.attempts, exchange.version, self.worker,
        )  # fmt: skip
        if exchange.limit:
            line = line.replace(_NO_LIMIT, b'"limit":' + json_string(exchange.limit), 1)
        if not kept:
            return line
        if not self._armed:
            self._arm()
        self._lines.append(line)
        self._size += len(line)
        if self._size > FLUSH_BYTES:
            self.flush()
        return line

    def operational(self, text: str) -> None:
        """A line for the operator; the logger writes it to stderr (its mark is the leading `!`)."""
        if self.tap is not None:
            self.tap.note(text)
        for line in text.splitlines():
            self._append(b"!" + line.encode("utf-8", "replace") + b"\n")

    def _where(self, upstream: str, target: str) -> tuple[str, bytes]:
        """Targets are few, and one address rarely belongs to two upstreams: the last pair is kept."""
        if len(self._upstreams) > MAX_TARGETS:
            self._upstreams.clear()
        made = upstream, b'"upstream":%b,"target":%b' % (json_string(upstream), json_string(target))
        self._upstreams[target] = made
        return made

    def _append(self, line: bytes) -> None:
        if not self._armed:
            self._arm()
        self._lines.append(line)
        self._size += len(line)
        if self._size > FLUSH_BYTES:
            self.flush()

    def _arm(self) -> None:
        """One timer per batch, not per exchange, and never a second one beside it."""
        self._armed = True
        self._later(FLUSH_SECONDS, self._on_time)

    def _on_time(self) -> None:
        self._armed = False
        self.flush()
        if self._lines:
            self._arm()

    def flush(self) -> None:
        """Write what fits. Only whole lines are dropped, and never the one that is half written."""
        lines = self._lines
        if not lines:
            return
        data = lines[0] if len(lines) == 1 else b"".join(lines)
        try:
            written = os.write(self._fd, data)
        except BlockingIOError:
            written = 0
        except OSError:
            # The logger's end is gone and will not come back: supervisor death.
            self._dropped(data.count(b"\n"))
            written = len(data)
        rest = data[written:]
        if len(rest) > MAX_PENDING:
            head = rest.find(b"\n") + 1  # may be the rest of a line that is half in the pipe
            self._dropped(rest.count(b"\n", head))
            rest = rest[:head]
        self._lines = [rest] if rest else []
        # What the pipe did not take counts little: the next try is the timer's, not the next line's.
        self._size = min(len(rest), FLUSH_BYTES // 2)


def _request(exchange: Exchange) -> bytes:
    """Method, host and path of a line; remembered with the request line."""
    path = exchange.path
    if b'"' in path or b"\\" in path:
        path = escaped(path)
    made = b'"method":"%b","host":"%b","path":"%b"' % (exchange.method, exchange.host, path)
    line = exchange.line
    if line is not None:
        line.logged_host = exchange.host
        line.logged = made
    return made


def outcome(route: bytes, exchange: Exchange, reason: Reason, rule: str) -> bytes:
    """The middle of a line: route (already JSON), consumer, status, reason, rule and source."""
    return b'"route":%b,"consumer":null,"status":%d,"reason":"%b","rule":%b,"source":"%b"' % (
        route, exchange.status, reason.token, json_string(rule), exchange.source.token,
    )  # fmt: skip


def json_string(text: str) -> bytes:
    """A JSON string, or null for an empty one."""
    return b'"%b"' % escaped(text.encode()) if text else b"null"


def escaped(raw: bytes) -> bytes:
    """Bytes made safe inside a JSON string; what is no UTF-8 is read as Latin-1."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return orjson.dumps(text)[1:-1]
