"""Forged tokens of every known kind meet a running gateway, each beside a good one on the same connection."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.integration import issuers
from tests.integration.forgeries import FORGED, P256_ORDER, joined, scalars
from tests.integration.issuers import World, check_unauthorized
from tests.support.client import request
from tests.support.gateway import Gateway
from tests.support.tokens import (
    ABSENT,
    Signer,
    bearer,
    compact,
    rsa_key,
)
from tests.support.upstream import Upstream


@pytest.fixture(scope="module")
def world() -> World:
    return issuers.make_world()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, world: World) -> Iterator[Gateway]:
    one = issuers.start(tmp_path_factory.mktemp("auth-forged"), upstream.url, world)
    yield one
    one.check_ledger()
    one.stop()


ALGORITHMS = {
    "rs": ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
    "hs": ["HS256", "HS384", "HS512"],
    "pem": ["RS256"],
}


@pytest.mark.parametrize(
    ("route", "algorithm"), [(name, one) for name, all_ in ALGORITHMS.items() for one in all_]
)
def test_each_algorithm_passes(
    route: str, algorithm: str, live: Gateway, world: World, upstream: Upstream
) -> None:
    signer: Signer = getattr(world, route)
    token = compact(signer.head(alg=algorithm), signer.claims(), signer.key.signer(algorithm))
    passes(live, upstream, f"/{route}/{algorithm}", token, f"{route}:alice")


@pytest.mark.parametrize(
    ("name", "algorithm"), [("es", "ES256"), ("p384", "ES384"), ("p521", "ES512"), ("ed", "EdDSA")]
)
def test_each_curve_passes(
    name: str, algorithm: str, live: Gateway, world: World, upstream: Upstream
) -> None:
    key = world.es.key if name == "es" else getattr(world, name)
    token = compact(world.es.head(alg=algorithm, kid=key.kid), world.es.claims(), key.signer(algorithm))
    passes(live, upstream, f"/es/{algorithm}", token, "es:alice")


def passes(live: Gateway, upstream: Upstream, path: str, token: str, consumer: str) -> None:
    with live.client() as client:
        answer = client.get(path, fields=bearer(token))
    assert answer.status == 200, answer.body
    assert upstream.find(path)[-1].all("X-Consumer") == [consumer]


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_token_is_refused_beside_a_good_one(
    name: str, live: Gateway, world: World, upstream: Upstream
) -> None:
    route, token = FORGED[name](world)
    good = getattr(world, route).token()
    path = f"/{route}/forged-{name.replace(' ', '_').strip()}".replace("\t", "_")
    with live.client() as client:
        client.send(request(path, fields=bearer(token)))
        answer = client.read()
        problem = check_unauthorized(live, answer)
        twin = client.get(path, fields=bearer(good))
        plainly_wrong = client.get(f"/{route}/plain", fields=bearer("a.b.c"))
    assert twin.status == 200, twin.body
    assert len(upstream.find(path)) == 1, "the forged one reached the upstream"
    assert problem["detail"] == json.loads(plainly_wrong.body)["detail"], "the answer says what was wrong"
    assert answer.all("WWW-Authenticate") == plainly_wrong.all("WWW-Authenticate")


def damaged(token: str) -> Iterator[str]:
    """With one character exchanged, left out or put in, at every place; and cut at every place."""
    for at, character in enumerate(token):
        yield token[:at] + ("A" if character != "A" else "B") + token[at + 1 :]
        yield token[:at] + token[at + 1 :]
        yield token[:at] + "A" + token[at:]
        yield token[:at]


@pytest.mark.parametrize("name", ["hs", "es", "rs"])
def test_every_character_of_a_token_counts(
    name: str, live: Gateway, world: World, upstream: Upstream
) -> None:
    good = getattr(world, name).token()
    tokens = [one for one in damaged(good) if one != good]
    with live.client() as client:
        for start in range(0, len(tokens), 25):
            batch = tokens[start : start + 25]
            client.send(b"".join(request(f"/{name}/damaged", fields=bearer(one)) for one in batch))
            passed = [one for one in batch if client.read().status != 401]
            assert passed == []
        assert client.get(f"/{name}/damaged", fields=bearer(good)).status == 200
    assert len(upstream.find(f"/{name}/damaged")) == 1


@pytest.mark.parametrize("name", ["jku", "x5u"])
def test_an_address_in_a_token_is_never_fetched(
    name: str, live: Gateway, world: World, upstream: Upstream
) -> None:
    """Nor does it spoil a token whose signature is right."""
    own = rsa_key("attacker")
    link = f"{upstream.url}/stolen-{name}"
    forged = compact(world.rs.head(**{name: link}), world.rs.claims(), own.signer("RS256"))
    unknown = compact(
        world.rs.head(**{name: link, "kid": "attacker"}), world.rs.claims(), own.signer("RS256")
    )
    with live.client() as client:
        for token in (forged, unknown):
            check_unauthorized(live, client.get("/rs/link", fields=bearer(token)))
        assert client.get("/rs/link", fields=bearer(world.rs.with_header(**{name: link}))).status == 200
    assert not upstream.find(f"/stolen-{name}")


@pytest.mark.parametrize(
    "header", [{"typ": "at+jwt"}, {"typ": ABSENT}, {"typ": "jwt"}, {"cty": "x"}, {"x": [1]}]
)
def test_a_header_that_means_nothing_here_is_passed_over(
    header: dict[str, object], live: Gateway, world: World
) -> None:
    with live.client() as client:
        assert client.get("/rs/typ", fields=bearer(world.rs.with_header(**header))).status == 200


@pytest.mark.parametrize(("size", "status"), [(8000, 200), (8400, 401), (16_000, 401), (30_000, 401)])
def test_a_token_beyond_8_kb_is_refused(size: int, status: int, live: Gateway, world: World) -> None:
    """Though its signature is right."""
    spare = size - len(world.rs.token(pad=""))
    token = world.rs.token(pad="x" * (spare * 3 // 4))
    with live.client() as client:
        answer = client.get("/rs/size", fields=bearer(token))
        assert answer.status == status, answer.body
        if status == 401:
            check_unauthorized(live, answer)
        assert client.get("/rs/size", fields=bearer(world.rs.token())).status == 200


def test_both_signatures_of_one_es_scalar_are_legal_ones(live: Gateway, world: World) -> None:
    """(r, n - s) is as true as (r, s): refusing it would refuse half of what signers make."""

    def mirrored(data: bytes) -> bytes:
        r, s = scalars(world.es.sign(data))
        return joined(r, P256_ORDER - s)

    with live.client() as client:
        token = compact(world.es.head(), world.es.claims(), mirrored)
        assert client.get("/es/mirror", fields=bearer(token)).status == 200
    assert isinstance(world.es.key.private.curve, ec.SECP256R1)
