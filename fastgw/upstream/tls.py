"""TLS towards targets: contexts made of options, the name a target must prove, and what a failed handshake is called.

What is in the PEM texts is certificates.py's business; connections only carry what is made here.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from weakref import WeakValueDictionary

from fastgw.upstream.options import UpstreamTlsOptions


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
        _load_pair(context, options.certificate, options.key)
    return context


def server_name(options: UpstreamTlsOptions | None, host: str) -> str:
    """RFC 6066 section 3: a name is sent without its last dot, an address not at all (ssl sees to that)."""
    name = options.server_name if options is not None and options.server_name else host
    return name.rstrip(".")


def _load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """ssl reads pairs from files only; this one lives in memory and is gone afterwards."""
    file = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(file, f"{certificate}\n{key}\n".encode())
        context.load_cert_chain(f"/proc/self/fd/{file}", password=_no_password)
    finally:
        os.close(file)


def _no_password() -> str:
    """Otherwise OpenSSL would ask at the terminal."""
    return ""
