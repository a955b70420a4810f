import socket
from collections.abc import Iterator

import pytest
from multidict import CIMultiDict

from fastgw.control.admission import Admission

TOKEN = "a-token-of-at-least-thirty-two-bytes"


@pytest.fixture
def loopback() -> Iterator[Admission]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield Admission(sock, ("gateway.internal", "127.0.0.1"))


@pytest.fixture
def everywhere() -> Iterator[Admission]:
    with socket.create_server(("0.0.0.0", 0)) as sock:
        yield Admission(sock, ("0.0.0.0",))


def reason(admission: Admission, token: str = "", **fields: str) -> str | None:
    named = CIMultiDict((name.replace("_", "-"), value) for name, value in fields.items())
    refusal = admission.refuse(named, token)
    return None if refusal is None else refusal.reason


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "localhost:9901", "LOCALHOST:9901", "localhost.", "127.0.0.1", "127.0.0.1:9901", "127.8.9.1",
        "[::1]", "[::1]:9901", "[0:0::1]:1", "gateway.internal", "Gateway.Internal:9901", "ip6-localhost",
    ],
)  # fmt: skip
def test_own_names_are_served(loopback: Admission, host: str) -> None:
    assert reason(loopback, Host=host) is None


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "localhost.evil.example", "evil.localhost", "127.0.0.1.evil.example", "10.0.0.1:9901",
        "localhost@evil.example", "localhost:x", "localhost:123456", "localhost:9901\n", " localhost",
        "localhost,evil.example", "[::2]", "[::1", "::1", "127.0.0.1:9901/", "gateway.internal.", "2130706433",
    ],
)  # fmt: skip
def test_other_names_are_refused(loopback: Admission, host: str) -> None:
    if host == "gateway.internal.":
        assert reason(loopback, Host=host) is None  # the same name, fully qualified
    else:
        assert reason(loopback, Host=host) == "host_not_allowed"


def test_no_host_and_two_hosts_are_refused(loopback: Admission) -> None:
    assert reason(loopback) == "host_not_allowed"
    refusal = loopback.refuse(CIMultiDict([("Host", "localhost"), ("Host", "localhost")]), "")
    assert refusal is not None and refusal.reason == "host_not_allowed" and refusal.status == 403


def test_a_socket_on_every_address_is_reached_by_address_but_not_by_any_name(everywhere: Admission) -> None:
    bearer = f"Bearer {TOKEN}"
    assert reason(everywhere, TOKEN, Host="10.0.0.1:9901", Authorization=bearer) is None
    assert reason(everywhere, TOKEN, Host="evil.example", Authorization=bearer) == "host_not_allowed"


@pytest.mark.parametrize(
    "origin", ["http://localhost:9901", "https://localhost:9901", "HTTP://LOCALHOST:9901".lower()]
)
def test_the_own_origin_is_served(loopback: Admission, origin: str) -> None:
    assert reason(loopback, Host="localhost:9901", Origin=origin) is None


@pytest.mark.parametrize(
    "origin",
    [
        "null", "", "http://evil.example", "http://localhost", "http://localhost:3000", "http://127.0.0.1:9901",
        "file://localhost:9901", "localhost:9901", "http://localhost:9901.evil.example", "http://localhost:9901/",
        "http://localhost:9901 http://evil.example", "chrome-extension://localhost:9901",
    ],
)  # fmt: skip
def test_foreign_origins_are_refused(loopback: Admission, origin: str) -> None:
    assert reason(loopback, Host="localhost:9901", Origin=origin) == "foreign_origin"


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_own_fetches_are_served(loopback: Admission, site: str) -> None:
    assert reason(loopback, Host="localhost", Sec_Fetch_Site=site) is None


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "none, cross-site", "unknown"])
def test_fetches_of_other_sites_are_refused(loopback: Admission, site: str) -> None:
    assert reason(loopback, Host="localhost", Sec_Fetch_Site=site) == "foreign_origin"


@pytest.mark.parametrize("given", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"Bearer  {TOKEN} "])
def test_the_token_is_taken(loopback: Admission, given: str) -> None:
    assert reason(loopback, TOKEN, Host="localhost", Authorization=given) is None


@pytest.mark.parametrize(
    "given",
    ["Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN, f"Basic {TOKEN}", "Bearer é"],
)
def test_other_credentials_are_refused(loopback: Admission, given: str) -> None:
    assert reason(loopback, TOKEN, Host="localhost", Authorization=given) == "invalid_credentials"


def test_no_credentials_are_refused_where_a_token_is_set_and_everywhere_but_on_loopback(
    loopback: Admission, everywhere: Admission
) -> None:
    assert reason(loopback, TOKEN, Host="localhost") == "missing_credentials"
    assert reason(everywhere, TOKEN, Host="localhost") == "missing_credentials"
    assert reason(everywhere, "", Host="localhost") == "missing_credentials"
    assert reason(everywhere, "", Host="localhost", Authorization="Bearer ") == "invalid_credentials"
    assert reason(loopback, "", Host="localhost") is None


def test_two_credentials_are_refused(loopback: Admission) -> None:
    fields = CIMultiDict(
        [("Host", "localhost"), ("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")]
    )
    refusal = loopback.refuse(fields, TOKEN)
    assert refusal is not None
    assert (refusal.status, refusal.reason) == (401, "invalid_credentials")
    assert refusal.fields["WWW-Authenticate"].startswith("Bearer ")


def test_the_refusal_does_not_repeat_the_credential(loopback: Admission) -> None:
    refusal = loopback.refuse(CIMultiDict(Host="localhost", Authorization="Bearer hunter2"), TOKEN)
    assert refusal is not None
    assert "hunter2" not in str(refusal) and TOKEN not in str(refusal)


def test_a_unix_socket_is_loopback(tmp_path: object) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"{tmp_path}/admin")
        admission = Admission(sock, ("",))
    assert reason(admission, Host="localhost") is None
    assert reason(admission, Host="evil.example") == "host_not_allowed"
    assert reason(admission, TOKEN, Host="localhost") == "missing_credentials"
