from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fastgw.upstream.tls_options import UpstreamTlsOptions
from tests.support.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def options(**values: Any) -> UpstreamTlsOptions:
    return UpstreamTlsOptions.model_validate(values)


def complaint(**values: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        options(**values)
    return str(caught.value.errors()[0]["msg"])


def test_nothing_said_is_verified() -> None:
    assert options().verify is True


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("Orders.Internal", "orders.internal"),
        ("a_b.example.", "a_b.example."),
        ("192.0.2.7", "192.0.2.7"),
        ("0:0::1", "::1"),
    ],
)
def test_names_to_prove(name: str, taken: str) -> None:
    assert options(server_name=name).server_name == taken


@pytest.mark.parametrize(
    "name", ["", "*.example", "a..b", ".a", "a b", "[::1]", "a:443", "https://a", "a\n", "a" * 254, 3, None.__class__]
)
def test_what_is_no_name(name: object) -> None:
    assert "is no name" in complaint(server_name=name)


def test_a_pair_belongs_together(authority: Authority) -> None:
    certificate, key = authority.pair("client.internal")
    _, other = authority.pair("client.internal")
    assert options(certificate=certificate, key=key).key == key
    assert "certificate has no key" in complaint(certificate=certificate)
    assert "key has no certificate" in complaint(key=key)
    assert "not the certificate's" in complaint(certificate=certificate, key=other)


def test_an_authority_that_nobody_would_ask(authority: Authority) -> None:
    assert options(ca=authority.pem).ca == authority.pem
    assert options(verify=False).verify is False
    assert "nothing is compared with ca" in complaint(ca=authority.pem, verify=False)


@pytest.mark.parametrize("key", ["ca", "certificate", "key"])
@pytest.mark.parametrize("value", ["certs/hush.pem", "", 3, ["hush"]])
def test_a_path_is_none_of_it_and_is_not_repeated(key: str, value: object) -> None:
    words = complaint(**{key: value})
    assert "write the path of a PEM file, or in the admin API the PEM itself" in words
    assert "hush" not in words


def test_what_everybody_may_see_holds_no_key(authority: Authority) -> None:
    certificate, key = authority.pair("client.internal")
    for name, text in (("ca", authority.pem + key), ("certificate", certificate + key)):
        words = complaint(**{name: text})
        assert "there is a private key in it" in words
        assert key.splitlines()[1] not in words


def test_equal_options_are_one_key(authority: Authority) -> None:
    assert hash(options(ca=authority.pem)) == hash(options(ca=authority.pem))
    assert options(ca=authority.pem) != options()
