"""`fastgw token`: a JWT to try things with, an API key and its digest."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from fastgw.cli.config_option import config_option

if TYPE_CHECKING:
    from fastgw.policy.auth.options import IssuerOptions

KEY_BYTES = 32  # of randomness: nobody guesses it, so one plain SHA-256 is enough to store it


@click.command("token", short_help="Make a JWT for trying things, or an API key and its digest.")
@click.argument("issuer", required=False)
@config_option()
@click.option("--subject", default="test", show_default=True, help="Who the token is about.")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="What it allows; can be repeated.")
@click.option("--claim", "claims", multiple=True, metavar="NAME=VALUE", help="Another claim; can be repeated.")
@click.option("--expires", default="1h", show_default=True, metavar="DURATION", help="How long it is good.")
@click.option("--algorithm", metavar="NAME", help="One of the issuer's; the first that fits the key by default.")
@click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The issuer's private key (PEM), where the configuration has no secret.",
)
@click.option("--kid", metavar="NAME", help="The key's name in the issuer's JWKS.")
@click.option("--api-key", is_flag=True, help="Make an API key instead, and its line for the configuration.")
@click.option("--digest", is_flag=True, help="Read an API key from stdin, and print its digest.")
def command(api_key: bool, digest: bool, **asked: Any) -> None:
    """Make a JWT that an issuer of the configuration could have signed, and print it.

    ISSUER is its name under `issuers`; it can be left out where there is only one that has a secret. A VALUE that is
    JSON (a number, true, a list) is taken as such, everything else as text.

    \b
    Exit codes:
      0  printed
      1  the configuration is wrong, or there is no key to sign with
      2  the command line is wrong

    \b
    Examples:
      fastgw token dev --subject alice --scope orders:read
      curl -H "Authorization: Bearer $(fastgw token dev)" http://127.0.0.1:8080/orders/7
      fastgw token main --key private.pem --claim 'roles=["admin"]' --expires 5m
      fastgw token --api-key                 a new key, and what to write at its consumer
      fastgw token --digest < key.txt        the digest of a key that you have
    """
    if api_key and digest:
        raise click.UsageError("--api-key makes a key, --digest reads one; give one of them")
    if digest:
        click.echo(digest_of(sys.stdin.buffer.read(64 * 1024)))
    elif api_key:
        _print_api_key()
    else:
        click.echo(_mint(**asked))


def _print_api_key() -> None:
    import secrets  # noqa: PLC0415 (imports that --help should not pay for, here and below)

    key = secrets.token_urlsafe(KEY_BYTES)
    click.echo(f"X-API-Key: {key}")
    click.echo(f'keys: ["{digest_of(key.encode())}"]    # at its consumer, in the configuration')


def digest_of(data: bytes) -> str:
    from hashlib import sha256  # noqa: PLC0415

    key = data.rstrip(b"\r\n")
    if not key or len(key) > 1024 or any(not 0x21 <= byte <= 0x7E for byte in key):
        raise click.UsageError("this is no API key: it is up to 1024 printable characters without spaces")
    return "sha256:" + sha256(key).hexdigest()


def _mint(
    issuer: str | None,
    path: Path,
    subject: str,
    scopes: tuple[str, ...],
    claims: tuple[str, ...],
    expires: str,
    algorithm: str | None,
    key_file: Path | None,
    kid: str | None,
) -> str:
    from fastgw.clock import SystemClock  # noqa: PLC0415
    from fastgw.config.quantities import parse_duration  # noqa: PLC0415

    try:
        lifetime = parse_duration(expires)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--expires") from None
    options = _issuer(path, issuer, key_file is not None)
    now = int(SystemClock.wall())
    body: dict[str, Any] = {} if options.issuer is None else {"iss": options.issuer}
    if options.audience is not None:
        body["aud"] = options.audience
    body |= {"sub": subject, options.consumer_claim: subject, "iat": now, "exp": now + int(lifetime)}
    if scopes:
        body[options.scope_claim] = " ".join(scopes)
    for claim in claims:
        name, equals, value = claim.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{claim} is no claim; write NAME=VALUE", param_hint="--claim")
        body[name] = _value(value)
    return _signed(options, body, algorithm, key_file, kid)


def _value(text: str) -> Any:
    import json  # noqa: PLC0415

    try:
        return json.loads(text)
    except ValueError:
        return text


def _issuer(path: Path, name: str | None, has_key: bool) -> IssuerOptions:
    from fastgw.config.errors import ConfigError, suggestion  # noqa: PLC0415
    from fastgw.gateway.document.load import load_file  # noqa: PLC0415

    try:
        issuers = load_file(path, dict(os.environ)).base.issuers
    except ConfigError as error:
        _fail(str(error))
    if name is None:
        fitting = [key for key, each in issuers.items() if has_key or each.secret is not None]
        if len(fitting) != 1:
            there = ", ".join(issuers) or "none"
            raise click.UsageError(f"which issuer? {path} has: {there}; write its name")
        name = fitting[0]
    if name not in issuers:
        raise click.UsageError(f'there is no issuer "{name}" in {path}{suggestion(name, issuers)}')
    if issuers[name].secret is None and not has_key:
        _fail(f"the issuer {name} has no secret to sign with; give its private key with --key FILE")
    return issuers[name]


def _signed(
    options: IssuerOptions, body: dict[str, Any], algorithm: str | None, key_file: Path | None, kid: str | None
) -> str:
    import json  # noqa: PLC0415
    from base64 import urlsafe_b64encode  # noqa: PLC0415

    from jwt.algorithms import get_default_algorithms  # noqa: PLC0415

    from fastgw.policy.auth.keys import HS, BadKey, from_public, read_jwks  # noqa: PLC0415

    def part(data: bytes) -> bytes:
        return urlsafe_b64encode(data).rstrip(b"=")

    material: Any = options.secret.encode() if options.secret is not None else _private_key(key_file)
    try:
        fitting = HS if options.secret is not None else from_public(material.public_key()).algorithms
    except BadKey as error:
        _fail(str(error))
    chosen = algorithm or next((each for each in options.algorithms if each in fitting), None)
    if chosen is None or chosen not in fitting or chosen not in options.algorithms:
        _fail(f"the key fits none of the issuer's algorithms that were asked for; it signs {', '.join(sorted(fitting))}")
    header = {"alg": chosen, "typ": "JWT"}
    if kid is None and options.jwks_file is not None:
        kid = _name_of(material.public_key(), read_jwks(options.jwks_file))
    if kid is not None:
        header["kid"] = kid
    signed = part(json.dumps(header).encode()) + b"." + part(json.dumps(body).encode())
    return (signed + b"." + part(get_default_algorithms()[chosen].sign(signed, material))).decode()


def _private_key(file: Path | None) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        return load_pem_private_key(file.read_bytes() if file else b"", password=None)
    except OSError as error:
        _fail(f"{file} cannot be read: {error.strerror}")
    except (ValueError, TypeError, UnsupportedAlgorithm):
        _fail(f"{file} is no private key; it is a PEM without a password")


def _name_of(public: Any, jwks: list[dict[str, Any]]) -> str | None:
    """The name that the issuer's own JWKS gives this key."""
    from fastgw.policy.auth.keys import from_jwk  # noqa: PLC0415

    return next((key.kid for key in map(from_jwk, jwks) if key.material == public), None)


def _fail(message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(1)
