"""What `fastgw token` makes, a running gateway takes: tokens of every family, and keys by their printed digest."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives import serialization

from tests.integration import issuers
from tests.integration.issuers import World, ask, key
from tests.support.gateway import ROOT, Gateway
from tests.support.tokens import Key, bearer
from tests.support.upstream import Upstream


@pytest.fixture(scope="module")
def world() -> World:
    return issuers.make_world()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, world: World) -> Iterator[Gateway]:
    one = issuers.start(tmp_path_factory.mktemp("auth-minted"), upstream.url, world)
    yield one
    one.check_ledger()
    one.stop()


def fastgw_token(live: Gateway, *words: str, stdin: str = "") -> str:
    result = subprocess.run(
        [sys.executable, "-m", "fastgw", "token", "-c", str(live.file), *words],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def private_file(live: Gateway, one: Key) -> str:
    path = live.directory / f"private-{one.kid or 'none'}.pem"
    path.write_bytes(
        one.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return str(path)


@pytest.mark.parametrize("name", ["hs", "dev", "rs", "pem", "es"])
def test_a_minted_token_passes(name: str, live: Gateway, world: World, upstream: Upstream) -> None:
    words = [name, "--subject", "bob", "--scope", "orders:read"]
    if name in {"rs", "pem", "es"}:
        one: Key = getattr(world, name).key
        words += ["--key", private_file(live, one), *(["--kid", one.kid] if one.kid else [])]
    token = fastgw_token(live, *words)
    assert ask(live, f"/{name}/minted", *bearer(token)).status == 200
    assert upstream.one(f"/{name}/minted").all("X-Consumer") == [f"{name}:bob"]
    assert upstream.one(f"/{name}/minted").all("X-Consumer-Scopes") == ["orders:read"]
    if name in {"rs", "hs"}:
        assert ask(live, "/scoped/minted", *bearer(token)).status == 200


def test_a_minted_key_passes_once_its_digest_is_there(live: Gateway, upstream: Upstream) -> None:
    said = fastgw_token(live, "--api-key")
    digest = re.search(r"sha256:[0-9a-f]{64}", said)
    assert digest
    made = next(word for word in re.split(r"[\s'\"]+", said) if issuers.digest(word) == digest[0])
    assert len(made) >= 32
    assert ask(live, "/key/minted", *key(made)).status == 401
    document = issuers.config(upstream.url)
    document["consumers"].append({"name": "new", "keys": [digest[0]]})
    live.reload(document)
    assert ask(live, "/key/minted", *key(made)).status == 200
    assert upstream.one("/key/minted").all("X-Consumer") == ["new"]
    assert issuers.digest("secret") in fastgw_token(live, "--digest", stdin="secret\n")
