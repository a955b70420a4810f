"""The gateway with guards before its upstream: its configuration, the tokens of its clients, and the proof that
it lets them in and nobody else.

Every client has an address of its own by X-Forwarded-For, which the gateway believes of loopback here.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.errors import VoidError
from bench.load import traffic
from bench.sides import fastgw
from bench.sides.side import Command, Plan
from bench.world import Instance
from k6.scenario import Bucket, Guards

ISSUER = "https://id.example.com/"
AUDIENCE = "api"
TOKEN_SECONDS = 3600
STORE_TIMEOUT_MS = (
    25  # redis.timeout below: the longest that a request may wait for a decision, but for one tick
)
TICK_MS = 5
# ES256, because it is dear to verify (about 100 us): a flood that bought verifications would show.
ALGORITHM = "ES256"


@dataclass(frozen=True)
class Signer:
    """An issuer of tokens: its private key is in memory only, its public one in the file that the gateway reads."""

    key: ec.EllipticCurvePrivateKey
    public_key: Path

    def token(self, client: int) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": f"client-{client}",
            "scope": "orders:read orders:write",
            "iat": now,
            "exp": now + TOKEN_SECONDS,
        }
        return jwt.encode(claims, self.key, algorithm=ALGORITHM)


def make_signer(folder: Path) -> Signer:
    key = ec.generate_private_key(ec.SECP256R1())
    file = folder / "issuer.pem"
    file.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return Signer(key, file)


def address(client: int) -> str:
    return f"10.{client >> 16 & 255}.{client >> 8 & 255}.{client & 255}"


@dataclass(frozen=True)
class Clients:
    """Who sends request number `index`: clients take turns."""

    tokens: tuple[str, ...]

    def headers(self, index: int) -> dict[str, str]:
        client = index % len(self.tokens)
        return {
            **dict(traffic.headers(index)),
            "Authorization": f"Bearer {self.tokens[client]}",
            "X-Forwarded-For": address(client + 1),
        }


def make_clients(signer: Signer, count: int) -> Clients:
    return Clients(tuple(signer.token(client) for client in range(count)))


def write_forgery(signer: Signer, file: Path) -> None:
    """What a flood is made of: the signed part of a token, and a signature of the right length to spoil."""
    signed, _, signature = signer.token(0).rpartition(".")
    file.write_text(json.dumps([signed, signature]))


def _limit(name: str, key: str, bucket: Bucket) -> str:
    return f"{{name: {name}, key: {key}, rate: {bucket.rate}/s, burst: {bucket.burst}}}"


def render(plan: Plan, guards: Guards, store_url: str, public_key: Path) -> str:
    plain = fastgw.render(plan)
    route = "  - {name: all, match: {path: /*}, upstream: backend}\n"
    if route not in plain:
        raise ValueError("the plain configuration has another route than the one to guard")
    guarded = f"""  - name: all
    match: {{path: /*}}
    upstream: backend
    auth: {{any: [jwt: main]}}
    limits:
      - {_limit("per-address", "client_ip", guards.address)}
      - {_limit("per-consumer", "consumer", guards.consumer)}
"""
    return f"""trusted_proxies: [127.0.0.1/32]
redis: {{url: {json.dumps(store_url)}, timeout: {STORE_TIMEOUT_MS}ms}}
issuers:
  main: {{issuer: "{ISSUER}", audience: {AUDIENCE}, algorithms: [{ALGORITHM}], public_key: {public_key}}}
{plain.replace(route, guarded)}"""


@dataclass(frozen=True)
class GuardedWriter:
    """A writer of a side, as those in bench/sides."""

    guards: Guards
    store_url: str
    public_key: Path

    def __call__(self, plan: Plan) -> Command:
        command = fastgw.write(plan)
        command.config.write_text(render(plan, self.guards, self.store_url, self.public_key))
        return command


def check_guarded(instance: Instance, clients: Clients) -> None:
    """Every client is let in and counted; without a token, and with a forged one, nobody is."""
    count = len(clients.tokens)
    for index in range(count):
        status, fields, body = _get(instance.port, clients.headers(index))
        if status != 200 or "RateLimit" not in fields:
            raise VoidError(f"{instance.label} answers client {index} with {status} {fields} {body[:200]!r}")
    stranger = {name: value for name, value in clients.headers(0).items() if name != "Authorization"}
    forged = clients.tokens[0][:-20] + "A" * 20
    for headers in (stranger, {**stranger, "Authorization": f"Bearer {forged}"}):
        status, _, body = _get(instance.port, headers)
        if status != 401:
            raise VoidError(f"{instance.label} answers a stranger with {status} {body[:200]!r}")


def _get(port: int, headers: dict[str, str]) -> tuple[int, Sequence[str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", traffic.path_of(1), headers=headers)
        response = connection.getresponse()
        return response.status, response.headers.keys(), response.read()
    finally:
        connection.close()
