"""Contexts made of options, names to prove, failures in words."""

from __future__ import annotations

import gc
import ssl

import pytest

from fastgw.upstream.tls import (
    HIGH_WATER,
    REFUSED,
    TlsContexts,
    TlsTarget,
    client_context,
    failure,
    refused_late,
    server_name,
    settle,
)
from fastgw.upstream.tls_options import UpstreamTlsOptions
from tests.support.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def options(**values: object) -> UpstreamTlsOptions:
    return UpstreamTlsOptions.model_validate(values)


def talk(client: ssl.SSLContext, name: str, server: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """A handshake in memory."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(back, there, server_hostname=name)
    theirs = server.wrap_bio(there, back, server_side=True)
    for _ in range(4):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ours, theirs


def test_who_is_named_is_believed(authority: Authority) -> None:
    context = client_context(options(ca=authority.pem))
    ours, _ = talk(context, "a.example", authority.server("a.example"))
    assert (ours.version(), ours.selected_alpn_protocol()) == ("TLSv1.3", "http/1.1")
    ours, _ = talk(context, "127.0.0.1", authority.server("127.0.0.1"))
    assert ours.version() == "TLSv1.3"
    for name in ("b.example", "127.0.0.1"):
        with pytest.raises(ssl.SSLCertVerificationError):
            talk(context, name, authority.server("a.example"))


def test_an_intermediate_authority_is_enough(authority: Authority) -> None:
    """Its own issuer need not be known."""
    child = authority.child()
    context = client_context(options(ca=child.pem))
    assert talk(context, "a.example", child.server("a.example"))[0].version() == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        talk(context, "a.example", authority.server("a.example"))


def test_nobody_is_believed_by_default(authority: Authority) -> None:
    for context in (client_context(None), client_context(options())):
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert not context.options & ssl.OP_IGNORE_UNEXPECTED_EOF
        with pytest.raises(ssl.SSLCertVerificationError):
            talk(context, "a.example", authority.server("a.example"))


def test_whoever_answers_is_believed_where_the_operator_says_so(authority: Authority) -> None:
    context = client_context(options(verify=False))
    assert talk(context, "b.example", authority.server("a.example", expired=True))[0].version()


def test_tls_1_1_is_refused(authority: Authority) -> None:
    server = authority.server("a.example")
    server.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        server.minimum_version = server.maximum_version = ssl.TLSVersion.TLSv1_1
    client = client_context(options(ca=authority.pem))
    client.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        talk(client, "a.example", server)


def test_a_client_certificate_is_shown(authority: Authority) -> None:
    certificate, key = authority.pair("client.internal")
    server = authority.server("a.example", wants_client=True)
    context = client_context(options(ca=authority.pem, certificate=certificate, key=key))
    _, theirs = talk(context, "a.example", server)
    assert theirs.getpeercert()
    with pytest.raises(ssl.SSLError):
        talk(client_context(options(ca=authority.pem)), "a.example", server)


def test_equal_options_share_a_context_as_long_as_it_is_used(authority: Authority) -> None:
    contexts = TlsContexts()
    one = contexts.of(options(ca=authority.pem))
    assert contexts.of(options(ca=authority.pem)) is one
    assert contexts.of(options(ca=authority.pem, server_name="b.example")) is not one
    assert contexts.of(None) is not one
    assert TlsTarget(one, "a") == TlsTarget(one, "a") != TlsTarget(one, "b")
    del one
    gc.collect()
    assert len(contexts) == 0


@pytest.mark.parametrize(
    ("wanted", "host", "name"),
    [(None, "a.example.", "a.example"), (None, "::1", "::1"), ("b.example.", "10.0.0.1", "b.example")],
)
def test_the_name_to_prove(wanted: str | None, host: str, name: str) -> None:
    assert server_name(options(server_name=wanted) if wanted else None, host) == name
    assert server_name(options(**({"server_name": wanted} if wanted else {})), host) == name


def alert(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


def unproven(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed: /internal/path")
    error.verify_code = code
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (unproven(9), "the target's certificate is not valid yet"),
        (unproven(10), "the target's certificate has expired"),
        (unproven(62), "the target's certificate is for another name"),
        (unproven(64), "the target's certificate is for another address"),
        (unproven(20), "the target's certificate is not trusted"),
        (alert("TLSV1_ALERT_UNKNOWN_CA"), REFUSED),
        (alert("SSLV3_ALERT_BAD_CERTIFICATE"), REFUSED),
        (alert("TLSV13_ALERT_CERTIFICATE_REQUIRED"), REFUSED),
        (alert("SSLV3_ALERT_HANDSHAKE_FAILURE"), "the TLS handshake failed"),
        (alert("WRONG_VERSION_NUMBER"), "the TLS handshake failed"),
        (ssl.SSLError(1, "?"), "the TLS handshake failed"),
        (ConnectionResetError(), "the target ended the connection in the TLS handshake"),
        (BrokenPipeError(), "the target ended the connection in the TLS handshake"),
        (ConnectionRefusedError(), None),
        (TimeoutError(), None),
        (OSError(113, "No route to host"), None),
    ],
)
def test_failures_in_words(error: OSError, words: str | None) -> None:
    assert failure(error) == words


def test_which_errors_after_the_handshake_are_about_our_certificate() -> None:
    assert refused_late(alert("TLSV13_ALERT_CERTIFICATE_REQUIRED"))
    for error in (None, ConnectionResetError(), alert("TLSV1_ALERT_INTERNAL_ERROR"), ssl.SSLError(1, "?")):
        assert not refused_late(error)


class FakeTls:
    def __init__(self) -> None:
        self.limits: list[tuple[str, int, int]] = []

    def set_write_buffer_limits(self, high: int, low: int = -1) -> None:
        self.limits.append(("write", high, low))

    def set_read_buffer_limits(self, high: int, low: int) -> None:
        self.limits.append(("read", high, low))


def test_a_transport_keeps_little() -> None:
    transport = FakeTls()
    settle(transport)  # type: ignore[arg-type]
    assert transport.limits == [("write", HIGH_WATER, -1), ("read", 1, 0)]
