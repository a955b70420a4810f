"""Cross-origin requests: the CORS protocol of the Fetch standard (https://fetch.spec.whatwg.org/#http-cors-protocol).

CORS is the browser's to enforce: it protects its user, not the route, and every other client sends what it likes. So
nothing is refused here. A foreign origin gets its answer without the fields that let a page read it, a preflight 204
without them (with 403 a browser would blame the status instead of the origin). And a preflight lists what is
configured, whatever it asked for: the browser compares, and names the method or header that it misses.
A shadow leaves everything to the upstream and notes the foreign origins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import PlainValidator, WithJsonSchema, model_validator

from fastgw.config.errors import shown
from fastgw.config.fields import Duration, FieldName, Flag, List, Method
from fastgw.config.options import Options, written, wrong
from fastgw.config.quantities import parse_duration
from fastgw.errors import Reason
from fastgw.model.exchange import WOULD_REFUSE, Exchange
from fastgw.model.messages import Reply
from fastgw.policy.mode import ENFORCE, SHADOW, Mode

ANY: Final = "*"
# Fields of an upstream's answer that the gateway's own replace, in lower case. (`Access-Control-Expose-Headers` stays:
# what a page may read of an upstream's fields is the upstream's to say.)
STRIPPED: Final = frozenset(
    {b"access-control-allow-origin", b"access-control-allow-credentials", b"access-control-allow-methods",
     b"access-control-allow-headers", b"access-control-max-age"}
)  # fmt: skip

# `*.` stands for one label or more, of a name that has a dot itself: never of a whole top level domain.
_ORIGIN: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:\*\.(?=[^:]*\.))?(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
)
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_LABELS: Final = rb"(?:[a-z0-9_-]+\.)+"
_RULE: Final = "cors"
_ALLOW: Final = b"Access-Control-Allow-Origin: "
_MAX_ORIGIN: Final = 300  # bytes: a scheme, a name of at most 255, a port. Nothing longer is sent back.


def _origin(value: object) -> str:
    if value == ANY:
        return ANY
    match = _ORIGIN.fullmatch(value) if type(value) is str else None
    if match is None:
        hint = "write scheme://host[:port] in lower case without a path, as in https://shop.example.com or " \
               "https://*.example.com, or * for everybody"  # fmt: skip
        raise wrong(f"{shown(value)} is no origin; {hint}")
    if match["port"] is not None and match["port"] == _DEFAULT_PORTS.get(match["scheme"]):
        raise wrong(f"{shown(value)}: browsers leave the default port away; write {match[0].rpartition(':')[0]}")
    return match[0]


Origin = Annotated[
    str, PlainValidator(_origin), WithJsonSchema({"type": "string", "examples": ["https://shop.example.com"]})
]


class CorsOptions(Options):
    origins: List[Origin]
    methods: List[Method] = ("GET", "POST")
    headers: List[FieldName] = ()
    credentials: Flag = False
    max_age: Duration = written("10m", parse_duration)
    mode: Mode = ENFORCE

    @model_validator(mode="after")
    def _no_credentials_for_all(self) -> CorsOptions:
        if not self.origins:
            raise wrong("origins is empty; list the origins whose pages may read answers, or remove cors")
        for key in ("origins", "methods", "headers"):
            # The Fetch standard takes * for the character itself where credentials are allowed.
            if self.credentials and ANY in getattr(self, key):
                raise wrong(f"credentials cannot be true for the {key[:-1]} *; list the {key}")
        return self


class Cors:
    __slots__ = ("_foreign", "_known", "_listing", "_patterns", "_silent", "_trailer")

    def __init__(self, options: CorsOptions) -> None:
        everybody = ANY in options.origins
        vary = b"" if everybody else b"Vary: Origin\r\n"
        self._trailer = (b"Access-Control-Allow-Credentials: true\r\n" if options.credentials else b"") + vary
        # What goes into an answer to an origin that is not allowed, and where there is none: a cache that keeps it
        # must know that others get another one.
        self._foreign = _ALLOW + b"*\r\n" if everybody else vary
        exact = () if everybody else [origin.encode() for origin in options.origins if ANY not in origin]
        self._known: dict[bytes, bytes] = {origin: self._allowing(origin) for origin in exact}
        self._patterns = None if everybody else _patterns(options.origins)
        lines = [b"Access-Control-Allow-Methods: %s\r\n" % ", ".join(options.methods).encode()]
        if options.headers:
            lines.append(b"Access-Control-Allow-Headers: %s\r\n" % ", ".join(options.headers).encode())
        lines.append(b"Access-Control-Max-Age: %d\r\n" % int(options.max_age))
        # Which route answers depends on the method that was asked for.
        asked = b"Vary: Access-Control-Request-Method\r\n"
        self._listing = Reply(Reason.OK, 204, rule=_RULE, headers=b"".join(lines) + asked)
        self._silent = Reply(Reason.OK, 204, rule=_RULE, headers=asked)

    def check(self, exchange: Exchange, runtime: object) -> Reply | None:
        """0.2 us for a request without Origin, 0.3 us for an origin that is listed."""
        head = exchange.head
        origin = None if head is None else head.fields.get(b"origin")
        if origin is None:
            exchange.answer_lines += self._foreign
            return None
        lines = self.lines(origin)
        exchange.answer_lines += lines
        if exchange.method == b"OPTIONS" and asked_method(exchange) is not None:
            return self._listing if lines.startswith(_ALLOW) else self._silent
        return None

    def lines(self, origin: bytes) -> bytes:
        """What the answer to this origin carries."""
        known = self._known.get(origin)
        if known is not None:
            return known
        patterns = self._patterns
        if patterns is not None and len(origin) <= _MAX_ORIGIN and patterns.fullmatch(origin):
            return self._allowing(origin)
        return self._foreign

    def allows(self, origin: bytes) -> bool:
        return self.lines(origin).startswith(_ALLOW)

    def _allowing(self, origin: bytes) -> bytes:
        return b"%s%s\r\n%s" % (_ALLOW, origin, self._trailer)


class CorsShadow:
    """Notes what the policy would not have let a page read, and changes nothing."""

    __slots__ = ("_cors",)

    def __init__(self, cors: Cors) -> None:
        self._cors = cors

    def check(self, exchange: Exchange, runtime: object) -> Reply | None:
        head = exchange.head
        origin = None if head is None else head.fields.get(b"origin")
        if head is None or origin is None or self._cors.allows(origin):
            return None
        # A page of the route's own host needs no permission; its POSTs name their origin all the same.
        if origin.partition(b"://")[2] != head.host_field:
            exchange.rule = exchange.rule or WOULD_REFUSE + _RULE
        return None


def build(options: CorsOptions | None) -> Cors | CorsShadow | None:
    if options is None:
        return None
    made = Cors(options)
    return CorsShadow(made) if options.mode == SHADOW else made


def stripped(options: CorsOptions | None) -> frozenset[bytes]:
    """The fields of the upstream's answers that must go: the gateway speaks for the route, unless as a shadow."""
    return frozenset() if options is None or options.mode == SHADOW else STRIPPED


def asked_method(exchange: Exchange) -> bytes | None:
    """The method that a preflight asks for; None where the request is none."""
    head = exchange.head
    if exchange.method != b"OPTIONS" or head is None or b"origin" not in head.fields:
        return None
    return head.fields.get(b"access-control-request-method")


def _patterns(origins: Iterable[str]) -> re.Pattern[bytes] | None:
    """`https://*.example.com`: one label or more in front, as in `match.hosts`."""
    found = [
        _LABELS.join(re.escape(half.encode()) for half in origin.split("*."))
        for origin in origins
        if ANY in origin
    ]
    return re.compile(b"|".join(found)) if found else None
