"""Heads that leave the gateway: the request towards an upstream, the answer towards a client. Bytes only, no I/O.

Rewrites, forwarding headers, ids and re-framing all happen here. The common case of each is one join.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Protocol

from fastgw.http1.fields import lines_of
from fastgw.http1.request import trusted_forward
from fastgw.http1.writer import CHUNKED, CONNECTION_CLOSE, CONNECTION_KEEP_ALIVE, UPGRADE
from fastgw.model.exchange import Exchange
from fastgw.model.messages import Framing, RequestHead, ResponseHead
from fastgw.model.route import HeaderRewriter, Route

if TYPE_CHECKING:
    from fastgw.gateway.downstream import Downstream
    from fastgw.gateway.snapshot import Network

# Variants of one head that are remembered with it; more routes than that on one header block are rendered anew.
MAX_VARIANTS = 8


class Addressed(Protocol):
    """Of a target, all that a head needs."""

    host_field: bytes


def request_head(
    exchange: Exchange, head: RequestHead, route: Route, client: Downstream, target: Addressed
) -> bytes:
    """The head of any request towards `target`, its empty line included. What was matched is what is forwarded.

    The usual one, with nothing to change, is written out in `Attempt.start`."""
    path = exchange.path
    if route.path_rewrite is not None:
        path = route.path_rewrite.apply(path)
    lines = client.forward_lines
    if exchange.trusted or route.request_headers is not None or not route.preserve_host or not head.host_field:
        forward = _variant(exchange, head, route, target)
        if exchange.trusted:
            lines = _trusted_lines(exchange, head, client)
    else:
        forward = head.forward
    if exchange.http10:
        lines = lines.replace(b"Via: 1.1 ", b"Via: 1.0 ")
    flags = head.traceparent[52:55] if head.traceparent else b"-01"
    own = b"".join(
        (lines, b"X-Request-Id: ", exchange.request_id, b"\r\ntraceparent: 00-", exchange.trace_id, b"-", exchange.span,
         flags, b"\r\n")
    )  # fmt: skip
    if exchange.identity is not None:
        own += exchange.identity.lines
    if route.request_headers is not None:
        own = _left(own, route.request_headers)
    if upgrades(exchange, head):
        own += UPGRADE
    return b"".join(
        (exchange.method, b" ", path, exchange.query, b" HTTP/1.1\r\n", forward, own, b"\r\n")
    )  # fmt: skip


def upgrades(exchange: Exchange, head: RequestHead) -> bool:
    """Only a GET of HTTP/1.1 asks for a WebSocket (RFC 6455 4.1); on anything else the Upgrade ends here."""
    return head.websocket and exchange.method == b"GET" and not exchange.http10


def _variant(exchange: Exchange, head: RequestHead, route: Route, target: Addressed) -> bytes:
    """The client's lines with the route's changes, remembered with the head."""
    host = b"" if route.preserve_host and head.host_field else target.host_field
    key = (exchange.trusted, route.request_headers, host)
    made = head.rewritten.get(key)
    if made is None:
        made = trusted_forward(head) if exchange.trusted else head.forward
        if route.request_headers is not None:
            made = rewritten(made, route.request_headers)
        if host:
            kept = [line for name, line in lines_of(made) if name != b"host"]
            made = b"Host: " + host + b"\r\n" + b"".join(kept)
        if len(head.rewritten) < MAX_VARIANTS:
            head.rewritten[key] = made
    return made


def rewritten(block: bytes, rewrite: HeaderRewriter) -> bytes:
    """Field lines after `remove` and `set`; `set` replaces every line of its name."""
    return b"".join([_left(block, rewrite), *(line for _, line in rewrite.set)])


def _left(block: bytes, rewrite: HeaderRewriter) -> bytes:
    """What a rewrite leaves of a block: neither what it removes nor what it sets."""
    gone = rewrite.remove | {name for name, _ in rewrite.set}
    return b"".join([line for name, line in lines_of(block) if name not in gone])


def rewritten_answer(data: bytes, rewrite: HeaderRewriter) -> bytes:
    """A whole answer of the gateway's own, after a route's rewrite of response headers."""
    head, _, body = data.partition(b"\r\n\r\n")
    line, _, block = head.partition(b"\r\n")
    return b"".join((line, b"\r\n", rewritten(block + b"\r\n", rewrite), b"\r\n", body))


def untrusted_lines(peer: bytes, port: bytes) -> bytes:
    """Forwarding headers for a peer that is not trusted, the same for each of its requests: see Downstream."""
    return b"".join(
        (b"X-Forwarded-For: ", peer, b"\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: ", port,
         b"\r\nVia: 1.1 fastgw\r\n")
    )  # fmt: skip


def _trusted_lines(exchange: Exchange, head: RequestHead, client: Downstream) -> bytes:
    """Forwarding headers behind a trusted proxy: -For is appended, -Proto, -Host and -Port are kept if they came."""
    fields = head.fields
    seen = fields.get(b"x-forwarded-for")
    chain = seen + b", " + client.peer if seen else client.peer
    parts = [b"X-Forwarded-For: " + chain + b"\r\n"]
    if b"x-forwarded-proto" not in fields:
        parts.append(b"X-Forwarded-Proto: http\r\n")
    if b"x-forwarded-port" not in fields:
        parts.append(b"X-Forwarded-Port: " + client.port + b"\r\n")
    parts.append(b"Via: 1.1 fastgw\r\n")
    return b"".join(parts)


def client_address(head: RequestHead, peer: bytes, trusted: tuple[Network, ...]) -> bytes:
    """The rightmost address of X-Forwarded-For that is not a trusted proxy; the peer where there is none (section 6)."""
    value = head.fields.get(b"x-forwarded-for")
    if not value:
        return peer
    found = peer
    for item in reversed(value.split(b",")):
        bare = _bare(item.strip(b" \t"))
        try:
            address = plain_address(bare.decode("ascii"))
        except (ValueError, UnicodeDecodeError):
            return found  # what stands left of something unreadable cannot be believed
        found = str(address).encode()
        if not any(address in network for network in trusted):
            return found
    return found


def plain_address(text: str) -> IPv4Address | IPv6Address:
    """An address without a scope (which may hold anything, quotes too); IPv4 in the clothes of IPv6 is IPv4.

    Raises ValueError."""
    if "%" in text:
        raise ValueError("a scope id")
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _bare(item: bytes) -> bytes:
    """`[::1]:80` -> `::1`, `192.0.2.1:80` -> `192.0.2.1`: some proxies add the port."""
    if item.startswith(b"["):
        address, _, port = item[1:].partition(b"]")
        return address if not port or (port[:1] == b":" and port[1:].isdigit()) else item
    address, _, port = item.partition(b":")
    return address if port.isdigit() else item


def answer_head(
    exchange: Exchange, head: ResponseHead, how: Framing, date: bytes, timing: bytes
) -> tuple[bytes, bool]:
    """(the answer's head towards the client with its empty line, whether its body must be chunked here).

    May clear `exchange.keep_alive`: an HTTP/1.0 client learns the end of an unknown length only by the close.
    """
    route = exchange.route
    assert route is not None
    rendered = head.rendered
    if route.upstream_headers is not None:
        rendered = _answer_variant(head, route.upstream_headers)
    parts = [rendered]
    if not head.has_date:
        parts.append(date)
    chunked = False
    if how is Framing.CHUNKED or how is Framing.CLOSE:
        if exchange.http10:
            exchange.keep_alive = False
        else:
            chunked = True
            parts.append(CHUNKED)
    if timing:
        parts.append(timing)
    parts += (b"X-Request-Id: ", exchange.request_id, b"\r\n", exchange.answer_lines)
    if not exchange.keep_alive:
        parts.append(CONNECTION_CLOSE)
    elif exchange.http10:
        parts.append(CONNECTION_KEEP_ALIVE)
    parts.append(b"\r\n")
    return b"".join(parts), chunked


def _answer_variant(head: ResponseHead, rewrite: HeaderRewriter) -> bytes:
    made = head.rewritten.get(rewrite)
    if made is None:
        line, _, block = head.rendered.partition(b"\r\n")
        made = line + b"\r\n" + rewritten(block, rewrite)
        if len(head.rewritten) < MAX_VARIANTS:
            head.rewritten[rewrite] = made
    return made


def switching_head(exchange: Exchange, head: ResponseHead) -> bytes:
    """101 towards the client."""
    return b"".join((head.rendered, UPGRADE, b"X-Request-Id: ", exchange.request_id, b"\r\n\r\n"))


def timing_line(exchange: Exchange, now: float, upstream_seconds: float) -> bytes:
    """Server-Timing (W3C): where the milliseconds until the answer's first byte went: ours, waiting for a connection,
    waiting for the limiter, the upstream's (all attempts)."""
    queued, decided = exchange.queued, max(0.0, exchange.decided)
    own = max(0.0, now - exchange.started - upstream_seconds - queued - decided)
    return b"Server-Timing: gateway;dur=%.3f, queue;dur=%.3f, limiter;dur=%.3f, upstream;dur=%.3f\r\n" % (
        own * 1e3, queued * 1e3, decided * 1e3, upstream_seconds * 1e3,
    )  # fmt: skip
