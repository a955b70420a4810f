"""The rules of design section 6 as tables and patterns, each with its RFC section. No code that reads a message here.

Patterns are used with `fullmatch` unless their name says SEARCH.
"""

from __future__ import annotations

import re
from typing import Final

MAX_TARGET: Final = 8 * 1024  # bytes of the request target; beyond it 414
MAX_FIELDS: Final = 100  # field lines of a head or a trailer; beyond it 431
MAX_TRAILER: Final = 8 * 1024  # bytes of a trailer section
MAX_CHUNK_DIGITS: Final = 15  # hex digits: below 2**60, so no parser anywhere overflows
MAX_CHUNK_EXTENSION: Final = 1024  # bytes a chunk
MAX_LENGTH_DIGITS: Final = 18  # below 2**63
MAX_METHOD: Final = 32
MAX_INTERIM: Final = 32  # 1xx answers before the final one; more is an endless answer

# RFC 9110 5.6.2
TOKEN_CHARS: Final = rb"!#$%&'*+\-.^_`|~0-9A-Za-z"
TOKEN: Final = re.compile(rb"[" + TOKEN_CHARS + rb"]+")

# A whole header block in one pass: field-name ":" field-value CRLF (RFC 9112 5). It refuses, at once, a space before the
# colon, obs-fold, bare CR and LF, NUL, controls, and lines without a colon. 1.1 us for 450 bytes; a loop over
# lines that checks the same takes 6.
BLOCK: Final = re.compile(rb"(?:[" + TOKEN_CHARS + rb"]+:[\t\x20-\x7e\x80-\xff]*\r\n)*")

# Bytes that no head can hold, wherever they stand: refused on arrival, without waiting for the empty line.
ILLEGAL_PARTIAL_SEARCH: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n|\Z)|(?<!\r)\n")
# Line ends that are not CRLF are framing errors, other controls are plain bad requests.
BARE_LINE_END_SEARCH: Final = re.compile(rb"\r(?!\n|\Z)|(?<!\r)\n")

METHODS: Final = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"CONNECT", b"TRACE"})
# RFC 9110 9.2.2
IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"TRACE"})

DIGITS: Final = re.compile(rb"[0-9]+")
HTTP_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]")
STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?")
CHUNK_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,%d}" % MAX_CHUNK_DIGITS)
# What follows the semicolon (RFC 9112 7.1.1): dropped, not forwarded, so only controls matter.
CHUNK_EXTENSION: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
KEEP_ALIVE_TIMEOUT_SEARCH: Final = re.compile(rb"(?:^|[,\s])timeout\s*=\s*\"?([0-9]{1,6})", re.IGNORECASE)
# W3C Trace Context 3.2: version 00, or a later one that begins in the same way; all-zero ids are invalid.
TRACEPARENT: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(?:-[\x21-\x7e]*)?"
)
# What the gateway accepts as a request id from a trusted peer: anything that cannot break a log or a header.
REQUEST_ID: Final = re.compile(rb"[0-9A-Za-z._~+/=:@-]{1,128}")

# Fields that end at this hop (RFC 9110 7.6.1, RFC 9112 C.2.2) whether or not Connection names them.
HOP_BY_HOP: Final = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade", b"http2-settings",
        b"proxy-authenticate", b"proxy-authorization", b"proxy-authentication-info",
    }
)  # fmt: skip

# Fields that the gateway writes itself towards the upstream; a client's own never pass unless its peer is trusted.
FORWARDING: Final = frozenset(
    {
        b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-server",
        b"x-forwarded-prefix", b"x-forwarded-ssl", b"x-forwarded-scheme", b"x-forwarded-user", b"forwarded",
        b"x-real-ip", b"x-request-id",
    }
)  # fmt: skip
FORWARDED_PREFIX: Final = b"x-forwarded-"
CONSUMER_PREFIX: Final = b"x-consumer"

# Fields that Connection may not name (RFC 9110 7.6.1: a sender must not name a field meant for all recipients):
# naming one is how a client would strip it between the gateway and the upstream.
NOT_CONNECTION_OPTIONS: Final = frozenset(
    {
        b"host", b"content-length", b"content-type", b"content-encoding", b"content-range", b"content-location",
        b"transfer-encoding", b"authorization", b"cookie", b"cache-control", b"date", b"expect", b"range", b"origin",
        b"forwarded", b"x-real-ip", b"x-request-id", b"traceparent", b"tracestate", b"via", b"x-api-key", b"trailer",
        b"max-forwards", b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range",
    }
)  # fmt: skip

# Fields that may not come in a trailer (RFC 9110 6.5.1: framing, routing, authentication, content handling).
NOT_IN_TRAILERS: Final = HOP_BY_HOP | FORWARDING | NOT_CONNECTION_OPTIONS | {b"set-cookie", b"www-authenticate"}

# Request fields that need more than being forwarded; a block with none of them takes the short way.
SPECIAL_REQUEST: Final = (
    HOP_BY_HOP
    | FORWARDING
    | {b"content-length", b"expect", b"traceparent", b"tracestate", b"x-server-timing"}
)
SPECIAL_RESPONSE: Final = HOP_BY_HOP | {b"content-length", b"x-request-id"}
