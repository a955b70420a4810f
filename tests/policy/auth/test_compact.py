"""The strict reading of a token: what passes, and beside it everything that must not."""

from __future__ import annotations

import pytest

from fastgw.policy.auth.compact import MAX_TOKEN, BadToken, decoded, parse
from tests.policy.auth.minting import CLAIMS, b64, mint

GOOD = mint()
HEAD, BODY, SIGNATURE = GOOD.split(b".")


def test_a_token_is_read() -> None:
    token = parse(mint(kid="a"))
    assert (token.algorithm, token.kid, token.claims) == ("HS256", "a", CLAIMS)
    token = parse(GOOD)
    assert token.kid is None
    assert token.signed == HEAD + b"." + BODY
    assert token.signature == decoded(SIGNATURE)


REFUSED = {
    "nothing": b"",
    "a word": b"token",
    "two parts": HEAD + b"." + BODY,
    "four parts": GOOD + b"." + SIGNATURE,
    "five parts, as JWE has": b".".join([HEAD] * 5),
    "no header": b"." + BODY + b"." + SIGNATURE,
    "no claims": HEAD + b".." + SIGNATURE,
    "no signature": HEAD + b"." + BODY + b".",
    "dots only": b"..",
    "space before": b" " + GOOD,
    "space after": GOOD + b" ",
    "newline after": GOOD + b"\n",
    "space within": HEAD + b". " + BODY + b"." + SIGNATURE,
    "newline within a part": HEAD[:4] + b"\n" + HEAD[4:] + b"." + BODY + b"." + SIGNATURE,
    "tab": GOOD.replace(b".", b"\t.", 1),
    "NUL after": GOOD + b"\0",
    "padding": HEAD + b"=." + BODY + b"." + SIGNATURE,
    "padding of the signature": HEAD + b"." + BODY + b"." + SIGNATURE + b"=",
    "padding by escape": HEAD + b"%3D." + BODY + b"." + SIGNATURE,
    "plus of plain base64": HEAD + b"." + BODY + b".+" + SIGNATURE[1:],
    "slash of plain base64": HEAD + b"." + BODY + b"./" + SIGNATURE[1:],
    "junk": HEAD + b"." + BODY + b"." + SIGNATURE[:-2] + b"*" + SIGNATURE[-1:],
    "other letters": HEAD + b"." + BODY + b"." + SIGNATURE + "é".encode(),
    "a length that base64 cannot have": HEAD + b"." + BODY + b"." + SIGNATURE + b"AA",
    "bits left over": HEAD + b"." + BODY + b".AB",
    "two tokens": GOOD + b", " + GOOD,
    "too long": mint({**CLAIMS, "x": "x" * MAX_TOKEN}),
    "header is a list": mint(header=[]),
    "header is text": mint(header="HS256"),
    "header is null": mint(header=None, algorithm="HS256", kid=None),
    "claims are a list": mint([CLAIMS]),
    "claims are a number": mint(1),
    "claims are null": mint(b"null"),
    "claims are not JSON": mint(b"{"),
    "claims are empty": mint(b" "),
    "two documents": mint(b"{}{}"),
    "junk after": mint(b'{"sub": "a"}x'),
    "comment": mint(b'{"sub": "a" /* */}'),
    "single quotes": mint(b"{'sub': 'a'}"),
    "trailing comma": mint(b'{"sub": "a",}'),
    "byte order mark": mint(b"\xef\xbb\xbf{}"),
    "UTF-16": mint('{"sub": "a"}'.encode("utf-16")),
    "UTF-32 without a mark": mint('{"sub": "a"}'.encode("utf-32-le")),
    "not UTF-8": mint(b'{"sub": "\xff"}'),
    "overlong UTF-8": mint(b'{"sub": "\xc0\xaf"}'),
    "half a surrogate pair": mint(b'{"sub": "\\ud800"}'),
    "half a surrogate pair in a list": mint(b'{"scope": ["\\udc00"]}'),
    "NaN": mint(b'{"exp": NaN}'),
    "Infinity": mint(b'{"exp": Infinity}'),
    "minus Infinity": mint(b'{"exp": -Infinity}'),
    "a number of 5,000 digits": mint(b'{"exp": ' + b"9" * 5000 + b"}"),
    "a claim twice": mint(b'{"sub": "a", "sub": "b"}'),
    "a claim twice, once escaped": mint(b'{"sub": "a", "\\u0073ub": "b"}'),
    "a nested member twice": mint(b'{"x": {"a": 1, "a": 1}}'),
    "nested without end": mint(b'{"x": ' + b"[" * 5000 + b"}"),
    "nested with its end": mint(b'{"x": ' + b"[" * 2500 + b"]" * 2500 + b"}"),
    "alg twice": mint(header=b'{"alg": "HS256", "alg": "none"}'),
    "alg is missing": mint(header={"typ": "JWT"}),
    "alg is null": mint(header={"alg": None}),
    "alg is a list": mint(header={"alg": ["HS256"]}),
    "alg is a number": mint(header={"alg": 1}),
    "alg is an object": mint(header={"alg": {"HS256": True}}),
    "kid is null": mint(kid=None),
    "kid is a number": mint(kid=1),
    "kid is a list": mint(kid=["a"]),
    "typ is null": mint(header={"alg": "HS256", "typ": None}),
    "typ is a number": mint(header={"alg": "HS256", "typ": 1}),
    "crit": mint(crit=["exp"]),
    "crit of a registered name": mint(crit=["alg"]),
    "crit is empty": mint(crit=[]),
    "crit is null": mint(crit=None),
    "crit is text": mint(crit="b64"),
    "b64 with crit": mint(crit=["b64"], b64=False),
    "b64": mint(b64=False),
    "b64 as it is anyway": mint(b64=True),
    "a logout token": mint(header={"alg": "HS256", "typ": "logout+jwt"}),
    "a proof of possession": mint(header={"alg": "HS256", "typ": "application/DPoP+JWT"}),
    "a security event": mint(header={"alg": "HS256", "typ": "secevent+jwt"}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    with pytest.raises(BadToken):
        parse(REFUSED[name])


@pytest.mark.parametrize(
    "token",
    [
        mint(typ=""),
        mint(header={"alg": "HS256"}),
        mint(header={"alg": "HS256", "typ": "at+jwt"}),
        mint(header={"alg": "HS256", "typ": "application/at+JWT"}),
        mint(header={"alg": "HS256", "typ": "Bearer"}),
        mint(kid=""),
        mint(header=b' {"alg" : "HS256" } \n'),  # white space within JSON is JSON
        mint(b'{"sub": "\\ud83d\\ude00"}'),  # a whole pair
        mint({"sub": "é"}),
        mint(jwk={"kty": "oct"}, jku="https://elsewhere", x5u="https://elsewhere", x5c=["AAAA"], cty="JWT"),
        mint(b'{"x": ' + b"[" * 30 + b"]" * 30 + b"}"),
    ],
)
def test_beside_them_a_twin_passes(token: bytes) -> None:
    assert parse(token).algorithm == "HS256"


def test_a_token_of_the_greatest_length_is_read() -> None:
    short = len(mint({"x": ""}))
    filler = "x" * ((MAX_TOKEN - short) * 3 // 4 - 2)
    token = mint({"x": filler})
    assert MAX_TOKEN - 8 <= len(token) <= MAX_TOKEN
    assert parse(token).claims["x"] == filler


@pytest.mark.parametrize("data", [b"", b"a", b"ab", b"abc", bytes(range(256))])
def test_base64_comes_back(data: bytes) -> None:
    assert decoded(b64(data)) == data
