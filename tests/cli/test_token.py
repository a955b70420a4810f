"""What `fastgw token` makes is what the gateway takes."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fastgw.cli.token import command
from fastgw.clock import SystemClock
from fastgw.gateway.document.load import load_file
from fastgw.model.identity import Identity
from fastgw.policy.auth.compact import parse
from fastgw.policy.auth.directory import Directory
from fastgw.policy.auth.issuer import Failure, Issuer
from tests.policy.auth.minting import P256, P384, SECRET, jwk, pem

CONFIG = f"""\
listeners: [{{address: "127.0.0.1:8080"}}]
issuers:
  dev: {{algorithms: [HS256, HS512], secret: "{SECRET}", scope_claim: scp}}
  main: {{algorithms: [ES256], public_key: main.pem, issuer: "https://id/", audience: api, consumer_claim: client}}
  set: {{algorithms: [ES384, ES256], jwks_file: jwks.json}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    (tmp_path / "main.pem").write_text(pem(P256))
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [jwk(P384, kid="a"), jwk(P256, kid="b")]}))
    private = P256.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "private.pem").write_bytes(private)
    return tmp_path


def run(folder: Path, *arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(command, ["-c", str(folder / "gateway.yaml"), *arguments], input=stdin)


def made(folder: Path, *arguments: str) -> str:
    result = run(folder, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def taken(folder: Path, issuer: str, token: str) -> Identity | Failure:
    options = load_file(folder / "gateway.yaml", {}).base.issuers[issuer]
    parsed = parse(token.encode())
    one = Issuer(issuer, options)
    assert one.takes(parsed)
    return one.verify(parsed, Directory(()), SystemClock.wall())


def test_a_token_of_a_secret(folder: Path) -> None:
    for arguments in (["dev"], []):  # the only one with a secret need not be named
        token = made(folder, *arguments, "--subject", "alice", "--scope", "a", "--scope", "b", "--claim", "org=x")
        found = taken(folder, "dev", token)
        assert isinstance(found, Identity)
        assert (found.consumer, found.scopes, found.claims["org"]) == ("dev:alice", {"a", "b"}, "x")


def test_a_token_of_a_private_key(folder: Path) -> None:
    token = made(folder, "main", "--key", str(folder / "private.pem"), "--subject", "app")
    found = taken(folder, "main", token)
    assert isinstance(found, Identity) and found.consumer == "main:app"


def test_the_key_is_found_in_the_issuers_set(folder: Path) -> None:
    token = made(folder, "set", "--key", str(folder / "private.pem"))
    assert (parse(token.encode()).algorithm, parse(token.encode()).kid) == ("ES256", "b")
    assert isinstance(taken(folder, "set", token), Identity)


@pytest.mark.parametrize(
    ("claim", "value"), [("n=3", 3), ("b=true", True), ("l=[1]", [1]), ("t=x y", "x y"), ("e=", ""), ('q="3"', "3")]
)
def test_claims(folder: Path, claim: str, value: Any) -> None:
    token = made(folder, "dev", "--claim", claim)
    assert parse(token.encode()).claims[claim[0]] == value


def test_a_token_that_is_over(folder: Path) -> None:
    assert taken(folder, "dev", made(folder, "dev", "--claim", "exp=5")) is Failure.EXPIRED
    claims = parse(made(folder, "dev", "--expires", "5m", "--algorithm", "HS512").encode()).claims
    assert claims["exp"] - claims["iat"] == 300


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nobody"], 2, 'no issuer "nobody"'),
        (["main"], 1, "give its private key"),
        (["--key", "private.pem"], 2, "which issuer?"),
        (["main", "--key", "nowhere.pem"], 1, "cannot be read"),
        (["main", "--key", "main.pem"], 1, "no private key"),
        (["main", "--key", "private.pem", "--algorithm", "RS256"], 1, "it signs ES256"),
        (["dev", "--algorithm", "HS384"], 1, "fits none"),
        (["dev", "--algorithm", "none"], 1, "fits none"),
        (["dev", "--expires", "soon"], 2, "--expires"),
        (["dev", "--claim", "x"], 2, "NAME=VALUE"),
        (["--api-key", "--digest"], 2, "one of them"),
    ],
)
def test_what_cannot_be_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, words: str
) -> None:
    monkeypatch.chdir(folder)
    result = run(folder, *arguments)
    assert result.exit_code == code, result.output
    assert words in result.stderr
    assert result.stdout == ""


def test_a_wrong_configuration(folder: Path) -> None:
    (folder / "gateway.yaml").write_text("listeners: 3")
    result = run(folder, "dev")
    assert result.exit_code == 1 and "gateway.yaml:1" in result.stderr


def test_an_api_key_and_its_digest(folder: Path) -> None:
    first, second = (made(folder, "--api-key").splitlines() for _ in range(2))
    key = first[0].removeprefix("X-API-Key: ")
    assert len(key) >= 43 and key not in second[0]
    assert f"sha256:{sha256(key.encode()).hexdigest()}" in first[1]


def test_the_digest_of_a_key(folder: Path) -> None:
    expected = "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\n"
    for text in (b"secret", b"secret\n", b"secret\r\n"):
        assert run(folder, "--digest", stdin=text).stdout == expected


@pytest.mark.parametrize("text", [b"", b"\n", b"two words", b"two\nlines", b"\xff", b"x" * 1025])
def test_what_is_no_key(folder: Path, text: bytes) -> None:
    result = run(folder, "--digest", stdin=text)
    assert result.exit_code == 2 and "no API key" in result.stderr
