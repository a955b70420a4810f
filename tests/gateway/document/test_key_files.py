"""Keys and certificates named by path become part of the document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwt.algorithms import ECAlgorithm

from fastgw.config.errors import ConfigError
from fastgw.gateway.document.key_files import MAX_CA_FILE, MAX_KEY_FILE, embed_keys
from fastgw.gateway.document.load import load_file, load_plain
from fastgw.gateway.document.masking import masked
from tests.support.certificates import Authority

KEY = generate_private_key(SECP256R1())
PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
PRIVATE_PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PUBLIC_JWK = ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
PRIVATE_JWK = ECAlgorithm.to_jwk(KEY, as_dict=True)

CONFIG = """\
listeners: [{address: 127.0.0.1:8080}]
issuers:
  main:
    algorithms: [ES256]
    KEY
"""


def written(folder: Path, line: str) -> Path:
    path = folder / "gateway.yaml"
    path.write_text(CONFIG.replace("KEY", line))
    return path


def test_a_pem_is_read_from_the_directory_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "main.pem").write_text(PEM)
    document = load_file(written(tmp_path, "public_key: keys/main.pem"), {})
    assert document.base.issuers["main"].public_key == PEM
    assert document.plain["issuers"]["main"]["public_key"] == PEM
    again = load_plain(document.plain, "the store")  # no file is needed any more
    assert again.hash == document.hash


def test_a_jwks_is_embedded_without_its_private_halves(tmp_path: Path) -> None:
    jwks = {"keys": [{**PRIVATE_JWK, "kid": "a", "use": "sig"}, {"kty": "oct", "k": "c2VjcmV0"}]}
    (tmp_path / "jwks.json").write_text(json.dumps(jwks))
    document = load_file(written(tmp_path, "jwks_file: jwks.json"), {})
    embedded = document.plain["issuers"]["main"]["jwks_file"]
    assert json.loads(embedded) == {"keys": [{**PUBLIC_JWK, "kid": "a"}]}
    assert load_plain(document.plain, "the store").hash == document.hash


def test_a_changed_key_file_is_a_changed_document(tmp_path: Path) -> None:
    path = written(tmp_path, "public_key: main.pem")
    (tmp_path / "main.pem").write_text(PEM)
    first = load_file(path, {})
    other = generate_private_key(SECP256R1()).public_key()
    (tmp_path / "main.pem").write_bytes(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert load_file(path, {}).hash != first.hash


@pytest.mark.parametrize(
    ("key", "content", "words"),
    [
        ("public_key", None, "cannot be read: No such file"),
        ("public_key", b"", "no public key"),
        ("public_key", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no public key"),
        ("public_key", PRIVATE_PEM.encode(), "private key; give its public half"),
        ("public_key", b"\xff\xfe", "is not text"),
        ("public_key", b"-" * (MAX_KEY_FILE + 1), "larger than 256 KB"),
        ("jwks_file", None, "cannot be read"),
        ("jwks_file", b"<html>", "not JSON"),
        ("jwks_file", b"{}", "no JWKS"),
        ("jwks_file", b'{"keys": []}', "no usable key"),
        ("jwks_file", b'{"keys": [{"kty": "oct", "k": "AAAA"}]}', "neither an RSA"),
    ],
)
def test_what_is_no_key_is_refused_at_its_line(
    tmp_path: Path, key: str, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_file(written(tmp_path, f"{key}: key"), {})
    problems = caught.value.problems
    assert len(problems) == 1, problems
    assert words in problems[0].message
    assert (problems[0].line, problems[0].path) == (5, f"issuers.main.{key}")


def test_what_comes_through_the_api_reads_no_file(tmp_path: Path) -> None:
    (tmp_path / "main.pem").write_text(PEM)
    for key in ("public_key", "jwks_file"):
        plain: dict[str, Any] = {
            "listeners": [{"address": "127.0.0.1:8080"}],
            "issuers": {"main": {"algorithms": ["ES256"], key: str(tmp_path / "main.pem")}},
        }
        with pytest.raises(ConfigError, match="in the admin API"):
            load_plain(plain, "api")


@pytest.mark.parametrize(
    "value", [None, 3, [], {}, {"main": 1}, {"main": {"public_key": 3}}, {"main": {"jwks_file": []}}]
)
def test_other_shapes_are_left_to_the_check_of_the_options(tmp_path: Path, value: object) -> None:
    assert list(embed_keys({"issuers": value}, tmp_path)) == []


SECURE = """\
listeners: [{address: 127.0.0.1:8080}]
upstreams:
  app:
    targets: [https://app.example]
    tls: {TLS}
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def secured(folder: Path, tls: str) -> Path:
    path = folder / "gateway.yaml"
    path.write_text(SECURE.replace("TLS", tls))
    return path


def test_certificates_are_read_from_the_directory_of_the_file(tmp_path: Path, authority: Authority) -> None:
    certificate, key = authority.pair("client.internal")
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "ca.pem").write_text(f"# our own\n{authority.pem}")
    (tmp_path / "certs" / "both.pem").write_text(key + certificate)
    path = secured(tmp_path, "ca: certs/ca.pem, certificate: certs/both.pem, key: certs/both.pem")
    document = load_file(path, {})
    embedded = {"ca": authority.pem, "certificate": certificate, "key": key}
    assert document.plain["upstreams"]["app"]["tls"] == embedded
    again = load_plain(document.plain, "the store")  # no file is needed any more
    assert again.hash == document.hash
    secret = key.splitlines()[1]
    assert secret in str(document.plain)
    assert secret not in str(masked(document.plain))

    other, other_key = authority.pair("client.internal")
    (tmp_path / "certs" / "both.pem").write_text(other + other_key)
    assert load_file(path, {}).hash != document.hash  # a renewed certificate is a new version at the next HUP


@pytest.mark.parametrize(
    ("key", "content", "words"),
    [
        ("ca", None, "the CA's file {folder}/file cannot be read: No such file"),
        ("ca", b"hush", "the CA's file {folder}/file is not right: there is no certificate in it"),
        ("ca", b"\xff\xfe", "is not text; write the CA as PEM"),
        ("ca", b"-" * (MAX_CA_FILE + 1), "larger than 1024 KB"),
        ("certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "cannot be read"),
        ("key", PEM.encode(), "there is no private key in it"),
        ("key", None, "the key's file {folder}/file cannot be read"),
    ],
)
def test_files_that_are_no_certificate_are_refused_at_their_line(
    tmp_path: Path, key: str, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_file(secured(tmp_path, f"{key}: file"), {})
    (problem,) = caught.value.problems
    assert words.format(folder=tmp_path) in problem.message
    assert "hush" not in problem.message
    assert (problem.line, problem.path) == (5, f"upstreams.app.tls.{key}")


def test_pairs_that_are_none_are_refused_at_their_line(tmp_path: Path, authority: Authority) -> None:
    certificate, key = authority.pair("client.internal")
    (tmp_path / "a.pem").write_text(certificate)
    (tmp_path / "a.key").write_text(key)
    (tmp_path / "b.key").write_text(authority.pair("client.internal")[1])
    (tmp_path / "leaf.pem").write_text(certificate)
    for tls, place, words in (
        ("certificate: a.pem", "tls", "certificate has no key"),
        ("key: a.key", "tls", "key has no certificate"),
        ("certificate: a.pem, key: b.key", "tls", "the key is not the certificate's"),
        ("ca: leaf.pem", "tls.ca", "no certificate in it is a CA's"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_file(secured(tmp_path, tls), {})
        (problem,) = caught.value.problems
        assert words in problem.message
        assert (problem.line, problem.path) == (5, f"upstreams.app.{place}")


def test_no_certificate_is_read_for_the_api(tmp_path: Path, authority: Authority) -> None:
    plain = {
        "listeners": [{"address": "127.0.0.1:8080"}],
        "upstreams": {"app": {"targets": ["https://app.example"], "tls": {"ca": authority.file}}},
    }
    with pytest.raises(ConfigError, match="in the admin API the PEM itself"):
        load_plain(plain, "api")


@pytest.mark.parametrize("value", [None, 3, [], {}, {"a": 1}, {"a": {"tls": 3}}, {"a": {"tls": {"ca": []}}}])
def test_other_shapes_of_tls_are_left_to_the_check_of_the_options(tmp_path: Path, value: object) -> None:
    assert list(embed_keys({"upstreams": value}, tmp_path)) == []
