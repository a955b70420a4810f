"""TLS towards targets: contexts made of options, the name a target must prove, and what a failed handshake is called.

What is in the PEM texts is certificates.py's business; connections only carry what is made here.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

from fastgw.upstream.certificates import load_pair
from fastgw.upstream.tls_options import UpstreamTlsOptions

HIGH_WATER: Final = 64 * 1024  # bytes: what plain transports have

REFUSED: Final = "the target does not accept the client certificate, or wants one"
# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_UNTRUSTED: Final = {
    9: "the target's certificate is not valid yet",
    10: "the target's certificate has expired",
    62: "the target's certificate is for another name",
    64: "the target's certificate is for another address",
}
# RFC 8446 6.2, as OpenSSL spells them: alerts by which a target refuses the client's certificate.
_ABOUT_US: Final = frozenset(
    {"CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "UNSUPPORTED_CERTIFICATE", "CERTIFICATE_REVOKED", "CERTIFICATE_EXPIRED",
     "CERTIFICATE_UNKNOWN", "UNKNOWN_CA", "ACCESS_DENIED"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TlsTarget:
    """How one target is spoken to. Equal ones may share connections."""

    context: ssl.SSLContext
    server_name: str  # sent as SNI unless it is an address, and what the certificate must be for


class TlsContexts:
    """Contexts by what they are made of, as long as somebody uses them: to read the system's CAs takes 10 ms and more."""

    __slots__ = ("_made",)

    def __init__(self) -> None:
        self._made: WeakValueDictionary[UpstreamTlsOptions, ssl.SSLContext] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._made)

    def of(self, options: UpstreamTlsOptions | None) -> ssl.SSLContext:
        wanted = options or UpstreamTlsOptions()
        context = self._made.get(wanted)
        if context is None:
            context = self._made[wanted] = client_context(wanted)
        return context


def client_context(options: UpstreamTlsOptions | None) -> ssl.SSLContext:
    """Checked options in, so that nothing fails here but the machine."""
    options = options or UpstreamTlsOptions()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A cut connection must not look like an end that the target announced.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    context.set_alpn_protocols(["http/1.1"])
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif options.ca is not None:
        context.load_verify_locations(cadata=options.ca)
        # What the operator names is trusted, also where it is an intermediate CA.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    else:
        context.load_default_certs()
    if options.certificate is not None and options.key is not None:
        load_pair(context, options.certificate, options.key)
    return context


def server_name(options: UpstreamTlsOptions | None, host: str) -> str:
    """RFC 6066 section 3: a name is sent without its last dot, an address not at all (ssl sees to that)."""
    name = options.server_name if options is not None and options.server_name else host
    return name.rstrip(".")


def settle(transport: asyncio.BaseTransport) -> None:
    """A TLS transport that keeps as little as a plain one. uvloop lets 512 KB wait to be sent, and goes on reading from
    the socket while reading is paused: what it then holds is lost when the peer closes."""
    transport.set_write_buffer_limits(HIGH_WATER)  # type: ignore[attr-defined]  # not of typeshed's base class
    transport.set_read_buffer_limits(1, 0)  # type: ignore[attr-defined]  # of uvloop's and asyncio's TLS transports


def failure(error: OSError) -> str | None:
    """What to call an error of a handshake, for everybody's eyes; None where the connection itself failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _UNTRUSTED.get(error.verify_code, "the target's certificate is not trusted")
    if isinstance(error, ssl.SSLError):
        if _refuses_us(error):
            return REFUSED
        return "the TLS handshake failed"
    if isinstance(error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError):
        return "the target ended the connection in the TLS handshake"
    return None


def refused_late(error: BaseException | None) -> bool:
    """In TLS 1.3 a client learns after its handshake what the target thinks of its certificate. (RFC 8446 4.4.2.4: the
    target looks at nothing else before.)"""
    return isinstance(error, ssl.SSLError) and _refuses_us(error)


def _refuses_us(error: ssl.SSLError) -> bool:
    # Errors that ssl's own Python code raises have no reason.
    return (getattr(error, "reason", None) or "").partition("_ALERT_")[2] in _ABOUT_US

