"""PEM texts: what is taken out of them, and what is refused without repeating a byte of it."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from fastgw.upstream.certificates import authorities, certificates, load_pair, private_key
from tests.support.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def test_only_certificates_are_kept_of_a_certificates_text(authority: Authority) -> None:
    certificate, key = authority.pair("a.example")
    both = f"Bag Attributes: ä\nsubject=CN = a\n{key}\n{certificate}\n# the CA:\n{authority.pem}"
    assert certificates(both) == certificate + authority.pem
    assert certificates(both.replace("\n", "\r\n")).count("BEGIN CERTIFICATE") == 2
    assert "PRIVATE" not in certificates(both)


def test_a_key_is_taken_from_beside_its_certificate(authority: Authority) -> None:
    certificate, key = authority.pair("a.example")
    assert private_key(f"comment\n{certificate}{key}") == key


def test_an_authority_may_come_with_others(authority: Authority) -> None:
    certificate, _ = authority.pair("a.example")
    assert authorities(authority.pem) == authority.pem
    assert authorities(certificate + authority.pem) == certificate + authority.pem


BROKEN = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("read", [certificates, authorities])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no certificate in it"),
        ("hush", "no certificate in it"),
        ("-----BEGIN CERTIFICATE-----\nhush", "no certificate in it"),
        ("-----BEGIN CERTIFICATE-----\nhush\n-----END CERTIFICATE REQUEST-----", "no certificate in it"),
        ("-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----", "no certificate in it"),
        (BROKEN, "certificate 1 in it cannot be read"),
        ("-----BEGIN CERTIFICATE-----\nhüsh\n-----END CERTIFICATE-----", "certificate 1 in it cannot be read"),
    ],
)
def test_what_is_no_certificate(read: Callable[[str], str], text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        read(text)
    assert "hush" not in str(caught.value)


def test_which_certificate_is_broken(authority: Authority) -> None:
    with pytest.raises(ValueError, match="certificate 2 in it"):
        certificates(authority.pem + BROKEN)


def test_a_certificate_that_signs_nothing_is_no_authority(authority: Authority) -> None:
    certificate, _ = authority.pair("a.example")
    with pytest.raises(ValueError, match="no certificate in it is a CA's"):
        authorities(certificate)


KEY = generate_private_key(SECP256R1())


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_is_refused(form: PrivateFormat) -> None:
    pem = KEY.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"hush")).decode()
    with pytest.raises(ValueError, match="the key is encrypted"):
        private_key(pem)


def test_what_is_no_key(authority: Authority) -> None:
    _, key = authority.pair("a.example")
    with pytest.raises(ValueError, match="no private key in it"):
        private_key(authority.pem)
    with pytest.raises(ValueError, match="several private keys"):
        private_key(key * 2)


def test_a_pair(authority: Authority) -> None:
    certificate, key = authority.pair("a.example")
    load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, key)


def test_pairs_that_are_none(authority: Authority) -> None:
    certificate, _ = authority.pair("a.example")
    _, other = authority.pair("a.example")
    broken = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    for key, words in ((other, "not the certificate's"), (broken, "the key cannot be read")):
        with pytest.raises(ValueError, match=words):
            load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, key)
