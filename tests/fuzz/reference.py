"""What the design says about a stream of request bytes, as plain and slow as it can be written.

Written from design section 6 and the RFCs, apart from the gateway's code: where the two disagree, one of them is
wrong. A message about which the design leaves room is marked `doubt`: the gateway may refuse it, but if it passes
it on, it must pass on what is said here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
NEVER_LEGAL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
BARE_LF = re.compile(rb"(?<!\r)\n")
BARE_CR = re.compile(rb"\r(?=[^\n])")
UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
PLAIN_HOST = re.compile(
    rb"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*(:[0-9]{1,4})?"
)
MAX_BODY = 10 << 20
MAX_FIELDS = 100
Fields = list[tuple[bytes, bytes]]


class Refuse(Exception):
    """The design says 400 (or another refusal) and close."""


class More(Exception):
    """The bytes end before the message does."""


@dataclass
class Expected:
    method: bytes
    target: bytes
    fields: Fields
    body: bytes = b""
    trailers: Fields = field(default_factory=list)
    last: bool = False  # the connection closes after it
    doubt: bool = False


@dataclass
class Reading:
    """All messages that can be read, and what stands behind the last one."""

    messages: list[Expected]
    end: str  # "clean" | "more" | "refused" | "unclear": may be refused already, or waited for


def read_all(data: bytes) -> Reading:
    messages: list[Expected] = []
    while data:
        try:
            message, data = read_one(data)
        except Refuse:
            return Reading(messages, "refused")
        except More as more:
            return Reading(messages, "unclear" if more.args else "more")
        messages.append(message)
        if message.last:
            return Reading(messages, "clean")
    return Reading(messages, "clean")


def read_one(data: bytes) -> tuple[Expected, bytes]:
    if data.startswith(b"\r\n"):
        data = data[2:]
        if not data:
            raise More
    if data == b"\r":
        raise More
    if not TOKEN.match(data[:1]):
        raise Refuse
    head, found, rest = data.partition(b"\r\n\r\n")
    if not found:
        scan_bytes(data)
        # What is already wrong in it may be said now or at its end.
        raise More("unclear")
    scan_bytes(head + b"\r\n")
    line, _, block = head.partition(b"\r\n")
    fields = read_fields(block + b"\r\n" if block else b"")
    if len(fields) > MAX_FIELDS:
        raise Refuse
    message = read_request_line(line)
    version_1_0 = line.endswith(b"1.0")
    message.fields = fields
    check_host(message, fields, version_1_0)
    message.last = read_connection(message, fields, version_1_0)
    if (
        any(value.lower() != b"100-continue" for value in values(fields, b"expect"))
        or len(values(fields, b"expect")) > 1
    ):
        message.doubt = True
    return message, read_body(message, fields, version_1_0, rest)


def scan_bytes(data: bytes) -> None:
    if NEVER_LEGAL.search(data) or BARE_LF.search(data) or BARE_CR.search(data):
        raise Refuse


def read_fields(block: bytes) -> Fields:
    fields = []
    for line in block.split(b"\r\n")[:-1]:
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.fullmatch(name):
            raise Refuse
        fields.append((name, value.strip(b" \t")))
    return fields


def values(fields: Fields, name: bytes) -> list[bytes]:
    return [value for key, value in fields if key.lower() == name]


# --- the request line ---


def read_request_line(line: bytes) -> Expected:
    parts = line.split(b" ")
    if len(parts) != 3 or b"\t" in line:
        raise Refuse
    method, target, version = parts
    if not TOKEN.fullmatch(method) or version not in {b"HTTP/1.1", b"HTTP/1.0"} or not target:
        raise Refuse
    message = Expected(method, b"", [])
    message.doubt = method in {b"CONNECT", b"TRACE"} or target == b"*"
    absolute = re.match(rb"(?i)http://([^/?#]*)", target)
    if absolute:
        message.fields = [(b":authority", absolute[1])]
        target = target[absolute.end() :]
        if not target.startswith(b"/"):
            target = b"/" + target
    elif not target.startswith(b"/") and target != b"*":
        raise Refuse
    if target == b"*" and method != b"OPTIONS":
        raise Refuse
    message.authority = absolute[1] if absolute else None  # type: ignore[attr-defined]
    path, doubt = normal_path(target.partition(b"?")[0])
    query = target[target.index(b"?") :] if b"?" in target else b""
    if b"#" in target:
        raise Refuse
    message.target = path + query
    message.doubt |= doubt or bool(re.search(rb"[\x80-\xff\"<>^`{|}\\]", target))
    return message


def normal_path(path: bytes) -> tuple[bytes, bool]:
    """The one path, and whether the design leaves room."""
    if b"\\" in path or b"#" in path:
        raise Refuse
    if re.search(rb"%(?![0-9A-Fa-f]{2})", path) or re.search(rb"%00", path):
        raise Refuse

    def unreserved(matched: re.Match[bytes]) -> bytes:
        byte = bytes([int(matched[1], 16)])
        return byte if byte in UNRESERVED else matched[0].upper()  # RFC 3986 6.2.2.1: one spelling

    if any(decode(one) in {b".", b".."} for one in path.split(b"/") if b"%" in one):
        raise Refuse  # an escaped dot segment: what decodes to one that the literal path did not hold
    path = re.sub(rb"%([0-9A-Fa-f]{2})", unreserved, path)
    segments = path.split(b"/")[1:]
    doubt = False
    for segment in segments:
        if segment.startswith(b"..;"):
            raise Refuse
        whole = decode(segment)
        if whole != segment or b"%" in segment:
            pieces = re.split(rb"[/\\]", whole)
            if any(piece in {b".", b".."} for piece in pieces):
                raise Refuse
            doubt |= any(
                piece.split(b";")[0] in {b".", b".."} for piece in re.split(rb"[/\\]", decode(whole))
            )
        doubt |= segment.startswith((b".;", b"..%3"))
    kept: list[bytes] = []
    for segment in segments:
        if segment == b"..":
            if not kept:
                raise Refuse
            kept.pop()
        elif segment != b".":
            kept.append(segment)
    if segments and segments[-1] in {b".", b".."}:
        kept.append(b"")
    return b"/" + b"/".join(kept), doubt


def decode(text: bytes) -> bytes:
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda matched: bytes([int(matched[1], 16)]), text)


# --- fields with a meaning ---


def check_host(message: Expected, fields: Fields, version_1_0: bool) -> None:
    hosts = values(fields, b"host")
    authority: bytes | None = message.authority  # type: ignore[attr-defined]
    if len(hosts) > 1 or (not hosts and not version_1_0):
        raise Refuse
    for host in [*hosts, *([authority] if authority is not None else [])]:
        if re.search(rb"[\s/@?#\\<>\"\x80-\xff,]", host):
            raise Refuse
        if not PLAIN_HOST.fullmatch(host):
            message.doubt = True
    if authority is not None:
        if not authority:
            raise Refuse
        if hosts and authority.lower() != hosts[0].lower():
            if strip_port(authority) != strip_port(hosts[0]):
                raise Refuse
            message.doubt = True  # the same host; 80 is the default, and other ports differ
        message.doubt |= not hosts


def strip_port(host: bytes) -> bytes:
    return host.rpartition(b":")[0].lower() if re.search(rb":[0-9]*$", host) else host.lower()


def read_connection(message: Expected, fields: Fields, version_1_0: bool) -> bool:
    options = [
        one.strip(b" \t").lower() for value in values(fields, b"connection") for one in value.split(b",")
    ]
    if {b"host", b"content-length", b"transfer-encoding"} & set(options):
        raise Refuse
    known = {b"", b"close", b"keep-alive", b"upgrade", b"te", b"x-hop", b"http2-settings"}
    message.doubt |= bool(set(options) - known)
    return b"close" in options or (version_1_0 and b"keep-alive" not in options)


# --- the body ---


def read_body(message: Expected, fields: Fields, version_1_0: bool, rest: bytes) -> bytes:
    lengths = values(fields, b"content-length")
    codings = values(fields, b"transfer-encoding")
    if codings:
        if lengths or version_1_0 or len(codings) != 1 or codings[0].lower() != b"chunked":
            raise Refuse
        return read_chunks(message, rest)
    if not lengths:
        return rest
    if len(lengths) != 1 or not re.fullmatch(rb"[0-9]+", lengths[0]):
        raise Refuse
    if len(lengths[0]) > 15:
        message.doubt = True
    length = int(lengths[0])
    if length > MAX_BODY:
        raise Refuse
    if len(rest) < length:
        raise More
    message.body = rest[:length]
    return rest[length:]


def take_line(data: bytes) -> tuple[bytes, bytes]:
    line, found, rest = data.partition(b"\r\n")
    if not found:
        scan_bytes(data)
        raise More("unclear")
    scan_bytes(line + b"\r\n")
    return line, rest


def read_chunks(message: Expected, rest: bytes) -> bytes:
    while True:
        line, rest = take_line(rest)
        size, _, extension = line.partition(b";")
        if len(extension) > 1024:
            raise Refuse
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", size):
            if re.fullmatch(rb"[0-9A-Fa-f]{1,15}[ \t]+", size):
                message.doubt = True  # white space before an extension: RFC 9112 lets it be
                size = size.strip(b" \t")
            else:
                raise Refuse
        length = int(size, 16)
        if length == 0:
            break
        if length > MAX_BODY:
            raise Refuse
        if len(rest) < length:
            raise More
        message.body += rest[:length]
        rest = rest[length:]
        if not b"\r\n".startswith(rest[:2]) or (rest and rest[:1] != b"\r"):
            raise Refuse
        if len(rest) < 2:
            raise More
        rest = rest[2:]
    block = b""
    while True:
        line, rest = take_line(rest)
        if not line:
            message.trailers = read_fields(block)
            return rest
        block += line + b"\r\n"
