"""What can become of an exchange: reason, source, status, retry. The one place where a reason meets a status.

No module but this one maps a failure to a status code; design section 12 is the table.
"""

from __future__ import annotations

from enum import Enum


class Source(Enum):
    """Who made the answer."""

    GATEWAY = "gateway"
    UPSTREAM = "upstream"

    token: bytes  # the value as bytes, for the log line

    def __init__(self, value: str) -> None:
        self.token = value.encode()


class Retry(Enum):
    """Whether an attempt that failed may be repeated (after pingora-error's `RetryType`)."""

    NEVER = 0
    REUSED_ONLY = 1  # only when the connection was a reused one: the peer may have closed it just then
    ALWAYS = 2  # nothing of the request reached the peer


# Reasons after which a connection ends.
_CLOSES = frozenset(
    {"bad_framing", "bad_request", "header_timeout", "body_timeout", "uri_too_long", "body_too_large",
     "header_too_large", "internal_error"}
)  # fmt: skip


class Reason(Enum):
    """One token per outcome: the same in the reply, the log line, the metric and the live tail."""

    OK = "ok"
    BAD_FRAMING = "bad_framing"
    BAD_REQUEST = "bad_request"
    HEADER_TIMEOUT = "header_timeout"
    BODY_TIMEOUT = "body_timeout"
    URI_TOO_LONG = "uri_too_long"
    BODY_TOO_LARGE = "body_too_large"
    HEADER_TOO_LARGE = "header_too_large"
    NO_ROUTE = "no_route"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    MISSING_CREDENTIALS = "missing_credentials"
    INVALID_CREDENTIALS = "invalid_credentials"
    EXPIRED_CREDENTIALS = "expired_credentials"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    IP_DENIED = "ip_denied"
    RATE_LIMITED = "rate_limited"
    LIMIT_STORE_DOWN = "limit_store_down"
    AUTH_UNAVAILABLE = "auth_unavailable"
    OVERLOADED = "overloaded"
    DRAINING = "draining"
    BREAKER_OPEN = "breaker_open"
    NO_HEALTHY_TARGET = "no_healthy_target"
    CONNECT_TIMEOUT = "connect_timeout"
    RESPONSE_TIMEOUT = "response_timeout"
    IDLE_TIMEOUT = "idle_timeout"
    TOTAL_TIMEOUT = "total_timeout"
    CONNECT_REFUSED = "connect_refused"
    DNS_ERROR = "dns_error"
    TLS_ERROR = "tls_error"
    UPSTREAM_RESET = "upstream_reset"
    UPSTREAM_PROTOCOL_ERROR = "upstream_protocol_error"
    RESPONSE_TRUNCATED = "response_truncated"
    CLIENT_CLOSED = "client_closed"
    SEND_TIMEOUT = "send_timeout"
    INTERNAL_ERROR = "internal_error"

    token: bytes  # the value as bytes, for the log line
    number: int  # its place, from 0: a key that is hashed in C (a member's own hash takes 0.15 us)
    closes: bool  # the rest of the connection cannot be trusted or is not worth reading

    def __init__(self, value: str) -> None:
        self.token = value.encode()
        self.number = len(type(self).__members__)
        self.closes = value in _CLOSES


# Status and title of the problem document (RFC 9457) that a reason is answered with. 499 is never sent: it is what
# the log and the metrics show for a client that went away (nginx's convention).
STATUS: dict[Reason, int] = {
    Reason.OK: 200,
    Reason.BAD_FRAMING: 400,
    Reason.BAD_REQUEST: 400,
    Reason.HEADER_TIMEOUT: 408,
    Reason.BODY_TIMEOUT: 408,
    Reason.URI_TOO_LONG: 414,
    Reason.BODY_TOO_LARGE: 413,
    Reason.HEADER_TOO_LARGE: 431,
    Reason.NO_ROUTE: 404,
    Reason.METHOD_NOT_ALLOWED: 405,
    Reason.MISSING_CREDENTIALS: 401,
    Reason.INVALID_CREDENTIALS: 401,
    Reason.EXPIRED_CREDENTIALS: 401,
    Reason.INSUFFICIENT_SCOPE: 403,
    Reason.IP_DENIED: 403,
    Reason.RATE_LIMITED: 429,
    Reason.LIMIT_STORE_DOWN: 503,
    Reason.AUTH_UNAVAILABLE: 503,
    Reason.OVERLOADED: 503,
    Reason.DRAINING: 503,
    Reason.BREAKER_OPEN: 503,
    Reason.NO_HEALTHY_TARGET: 503,
    Reason.CONNECT_TIMEOUT: 504,
    Reason.RESPONSE_TIMEOUT: 504,
    Reason.IDLE_TIMEOUT: 504,
    Reason.TOTAL_TIMEOUT: 504,
    Reason.CONNECT_REFUSED: 502,
    Reason.DNS_ERROR: 502,
    Reason.TLS_ERROR: 502,
    Reason.UPSTREAM_RESET: 502,
    Reason.UPSTREAM_PROTOCOL_ERROR: 502,
    Reason.RESPONSE_TRUNCATED: 502,
    Reason.CLIENT_CLOSED: 499,
    Reason.SEND_TIMEOUT: 499,
    Reason.INTERNAL_ERROR: 500,
}

TITLES: dict[int, str] = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    414: "URI Too Long",
    417: "Expectation Failed",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    499: "Client Closed Request",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
}

# Reasons after which the client should come back later, with the seconds that Retry-After carries.
RETRY_AFTER: dict[Reason, int] = {
    Reason.OVERLOADED: 1,
    Reason.DRAINING: 1,
    Reason.NO_HEALTHY_TARGET: 1,
    Reason.LIMIT_STORE_DOWN: 1,
    Reason.AUTH_UNAVAILABLE: 1,
}

# RFC 9209 section 2.3: the proxy error type nearest to each reason, for the Proxy-Status field.
PROXY_ERROR: dict[Reason, str] = {
    Reason.BAD_FRAMING: "http_request_error",
    Reason.BAD_REQUEST: "http_request_error",
    Reason.HEADER_TIMEOUT: "http_request_error",
    Reason.BODY_TIMEOUT: "http_request_error",
    Reason.URI_TOO_LONG: "http_request_error",
    Reason.BODY_TOO_LARGE: "http_request_error",
    Reason.HEADER_TOO_LARGE: "http_request_error",
    Reason.NO_ROUTE: "destination_not_found",
    Reason.METHOD_NOT_ALLOWED: "http_request_denied",
    Reason.MISSING_CREDENTIALS: "http_request_denied",
    Reason.INVALID_CREDENTIALS: "http_request_denied",
    Reason.EXPIRED_CREDENTIALS: "http_request_denied",
    Reason.INSUFFICIENT_SCOPE: "http_request_denied",
    Reason.IP_DENIED: "http_request_denied",
    Reason.RATE_LIMITED: "http_request_denied",
    Reason.LIMIT_STORE_DOWN: "proxy_internal_error",
    Reason.AUTH_UNAVAILABLE: "proxy_internal_error",
    Reason.OVERLOADED: "connection_limit_reached",
    Reason.DRAINING: "http_request_denied",
    Reason.BREAKER_OPEN: "destination_unavailable",
    Reason.NO_HEALTHY_TARGET: "destination_unavailable",
    Reason.CONNECT_TIMEOUT: "connection_timeout",
    Reason.RESPONSE_TIMEOUT: "http_response_timeout",
    Reason.IDLE_TIMEOUT: "connection_read_timeout",
    Reason.TOTAL_TIMEOUT: "http_response_timeout",
    Reason.CONNECT_REFUSED: "connection_refused",
    Reason.DNS_ERROR: "dns_error",
    Reason.TLS_ERROR: "tls_protocol_error",
    Reason.UPSTREAM_RESET: "connection_terminated",
    Reason.UPSTREAM_PROTOCOL_ERROR: "http_protocol_error",
    Reason.RESPONSE_TRUNCATED: "http_response_incomplete",
    Reason.INTERNAL_ERROR: "proxy_internal_error",
}


class HttpError(Exception):
    """A message that breaks a rule of design section 6. `detail` names the rule, never the offending bytes."""

    def __init__(self, reason: Reason, detail: str, status: int | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.status = STATUS[reason] if status is None else status
