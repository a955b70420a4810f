"""What a verb is told of the gateway it asks. Addresses and tokens out of files are in test_reload.py."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastgw.cli.admin_client import AdminClient, AdminError, find, where
from fastgw.cli.event_stream import Event
from fastgw.config.address import Address, parse_address
from tests.cli.fake_admin import FakeAdmin, fake_admin


@pytest.fixture
def fake() -> Iterator[FakeAdmin]:
    with fake_admin() as fake:
        yield fake


@pytest.fixture
def client(fake: FakeAdmin) -> AdminClient:
    return AdminClient(parse_address(fake.address), "secret", 5.0)


def test_a_call_returns_the_json_of_the_answer(fake: FakeAdmin, client: AdminClient) -> None:
    fake.answers["GET /api/status"] = 200, {"version": 3}
    assert client.call("GET", "/api/status?x=1") == {"version": 3}
    asked, headers, body = fake.asked()
    assert (asked, body) == ("GET /api/status?x=1", b"")
    assert headers["Authorization"] == "Bearer secret"
    assert "Content-Type" not in headers


def test_a_change_is_json_and_carries_its_fields(fake: FakeAdmin, client: AdminClient) -> None:
    fake.answers["POST /api/explain"] = 202, b"no json"
    assert client.call("POST", "/api/explain", {"a": 1}, {"If-Match": '"7"'}) == "no json"
    _, headers, body = fake.asked()
    assert (headers["Content-Type"], headers["If-Match"], body) == ("application/json", '"7"', b'{"a": 1}')


@pytest.mark.parametrize(
    ("status", "body", "lines"),
    [
        (404, {"title": "Not Found", "detail": "no such route"}, ["no such route"]),
        (500, b"<html>", ["500 Internal Server Error"]),
        (500, [], ["500 Internal Server Error"]),
        (422, {"errors": [{"path": "routes[0]", "message": "m"}, {"message": "n"}, 7]}, ["routes[0]: m", "n", "7"]),
        (422, {"errors": [{"file": "f", "line": 3, "path": "p", "message": "m"}]}, ["f:3: p: m"]),
    ],
)  # fmt: skip
def test_a_refusal_is_in_words(
    fake: FakeAdmin, client: AdminClient, status: int, body: object, lines: list[str]
) -> None:
    fake.answers["GET /x"] = status, body
    with pytest.raises(AdminError) as caught:
        client.call("GET", "/x")
    assert (caught.value.status, caught.value.lines) == (status, lines)


def test_a_missing_token_says_where_one_comes_from(fake: FakeAdmin, client: AdminClient) -> None:
    fake.answers["GET /x"] = 401, {"detail": "a token is needed"}
    with pytest.raises(AdminError, match=r"a token is needed\n.*FASTGW_ADMIN_TOKEN"):
        client.call("GET", "/x")


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_no_gateway_is_said_with_its_address(kind: str, tmp_path: Path) -> None:
    if kind == "unix":
        address = Address("unix", path=str(tmp_path / "gone.sock"))
    else:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            address = Address("tcp", "127.0.0.1", closed.getsockname()[1])
    with pytest.raises(AdminError) as caught:
        AdminClient(address).call("GET", "/")
    assert caught.value.status == 0
    assert f"no gateway answers at {address}: " in str(caught.value)
    assert "--admin" in str(caught.value)


def test_a_gateway_that_does_not_answer_is_not_waited_for_for_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        client = AdminClient(parse_address(f"127.0.0.1:{mute.getsockname()[1]}"), "", 0.05)
        with pytest.raises(AdminError, match=r"did not answer within 0\.05 s"):
            client.call("GET", "/")


def test_events_come_until_the_gateway_ends_them(fake: FakeAdmin, client: AdminClient) -> None:
    fake.event("exchange", "1")
    fake.pieces.put(b": warm\n\nevent: notice\nda")
    fake.pieces.put(b"ta: 2\n\n")
    fake.pieces.put(None)
    opened: list[bool] = []
    events = client.events("/api/tail", on_open=lambda: opened.append(True))
    assert list(events) == [Event("exchange", "1"), Event("notice", "2")]
    assert opened == [True]
    _, headers, _ = fake.asked()
    assert headers["Accept"] == "text/event-stream"


def test_a_stream_that_is_cut_ends(fake: FakeAdmin, client: AdminClient) -> None:
    fake.event("exchange", "1")
    fake.pieces.put(FakeAdmin.CUT)
    assert list(client.events("/api/tail")) == [Event("exchange", "1")]


def test_a_stream_that_is_refused_or_silent_or_none_is_an_error(fake: FakeAdmin, client: AdminClient) -> None:
    with pytest.raises(AdminError, match=r"nothing was heard .* for 0\.05 s"):
        list(client.events("/api/tail", silence=0.05))
    fake.pieces.put(None)
    for _ in range(3):
        fake.pieces.put(b"x" * 2_000_000)
    with pytest.raises(AdminError, match="no stream of events"):
        list(client.events("/api/tail"))
    fake.answers["GET /api/tail"] = 503, {"detail": "64 watch already"}
    with pytest.raises(AdminError, match="64 watch already"):
        list(client.events("/api/tail"))


@pytest.mark.parametrize(
    ("text", "address", "token"),
    [
        ("admin: {token: 'file:secret'}\nroutez: 7\n", "127.0.0.1:9901", "of-the-file"),
        ("admin: {address: 127.0.0.1:1, token: 'file:absent'}\n", "127.0.0.1:1", ""),
        ("admin: {address: 127.0.0.1:1, token: '${FASTGW_NOT_SET}'}\n", "127.0.0.1:1", ""),
        ("routes: []\n", "127.0.0.1:9901", ""),
        ("admin: {address: 'unix:a.sock'}\n", "unix:{folder}/a.sock", ""),
    ],
)
def test_address_and_token_of_a_file(tmp_path: Path, text: str, address: str, token: str) -> None:
    (tmp_path / "secret").write_text("of-the-file\n")
    (tmp_path / "gateway.yaml").write_text(text)
    found, known = where(tmp_path / "gateway.yaml", None)
    assert (str(found), known) == (address.format(folder=tmp_path), token)


def test_a_command_line_that_names_no_gateway_ends_with_the_cure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        find(tmp_path / "absent.yaml", None, None)
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "there is no such file" in said and "--admin" in said
