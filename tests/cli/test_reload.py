"""`fastgw reload` against a scripted admin interface."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from fastgw.cli.reload import command


class Admin:
    """Answers one request with what it was told."""

    def __init__(self, sock: socket.socket, status: str, body: object) -> None:
        self.sock = sock
        self.request = b""
        text = json.dumps(body).encode() if body is not None else b"no json"
        self.answer = b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status.encode(), len(text), text)
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        connection, _ = self.sock.accept()
        with connection:
            while not self.request.endswith(b"{}"):
                self.request += connection.recv(65536)
            connection.sendall(self.answer)


@pytest.fixture
def admin() -> Iterator[object]:
    started: list[Admin] = []

    def start(status: str, body: object, path: Path | None = None) -> tuple[Admin, str]:
        sock = socket.socket(socket.AF_INET if path is None else socket.AF_UNIX)
        sock.bind(("127.0.0.1", 0) if path is None else str(path))
        sock.listen()
        started.append(Admin(sock, status, body))
        name = f"unix:{path}" if path else f"127.0.0.1:{sock.getsockname()[1]}"
        return started[-1], name

    yield start
    for each in started:
        each.thread.join(5)
        each.sock.close()


def run(*arguments: str, env: dict[str, str] | None = None):
    return CliRunner().invoke(command, [*arguments], env=env)


def test_a_success_names_the_version(admin):
    gateway, name = admin("200 OK", {"version": 7})
    result = run("--admin", name)
    assert result.exit_code == 0
    assert result.output == "configuration 7 is served\n"
    assert gateway.request.startswith(b"POST /api/reload HTTP/1.1\r\n")
    assert b"Content-Type: application/json" in gateway.request
    assert b"Authorization" not in gateway.request


def test_a_refusal_lists_every_problem(admin):
    _, name = admin(
        "422 Unprocessable Content",
        {
            "title": "Bad",
            "errors": [
                "gateway.yaml:3: x",
                {"file": "gateway.yaml", "line": 9, "path": "a.b", "message": "y"},
            ],
        },
    )
    result = run("--admin", name)
    assert result.exit_code == 1
    assert "gateway.yaml:3: x\ngateway.yaml:9: a.b: y\n" in result.output
    assert "nothing has changed" in result.output


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"detail": "no token", "title": "Unauthorized"}, "no token"),
        ({"title": "T"}, "T"),
        (None, "401 Unauthorized"),
    ],
)
def test_any_other_refusal_says_what_the_gateway_says(admin, body, said):
    _, name = admin("401 Unauthorized", body)
    result = run("--admin", name)
    assert result.exit_code == 1
    assert said in result.output


def test_the_token_comes_from_the_option_or_the_environment(admin):
    gateway, name = admin("200 OK", {"version": 1})
    run("--admin", name, "--token", "secret", env={"FASTGW_ADMIN_TOKEN": "other"})
    assert b"Authorization: Bearer secret\r\n" in gateway.request
    gateway, name = admin("200 OK", {"version": 1})
    run("--admin", name, env={"FASTGW_ADMIN_TOKEN": "other"})
    assert b"Authorization: Bearer other\r\n" in gateway.request


def test_address_and_token_come_from_the_file(admin, tmp_path):
    gateway, name = admin("200 OK", {"version": 1}, tmp_path / "admin.sock")
    config = tmp_path / "gateway.yaml"
    config.write_text(
        f"listeners: [{{address: 127.0.0.1:1}}]\nadmin: {{address: '{name}', token: of-the-file}}\n"
        "routes: [{name: r, match: {path: /}, reply: {status: 204}}]\n"
    )
    result = run("-c", str(config))
    assert result.exit_code == 0, result.output
    assert b"Authorization: Bearer of-the-file\r\n" in gateway.request


def test_no_gateway_is_an_error_that_names_the_address():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        name = f"127.0.0.1:{closed.getsockname()[1]}"
        result = run("--admin", name)
    assert result.exit_code == 1
    assert f"no gateway answers at {name}" in result.output


def test_what_is_no_address_is_a_wrong_command_line():
    assert run("--admin", "nonsense").exit_code == 2


def test_a_file_that_is_wrong_elsewhere_is_for_the_gateway_to_judge(admin, tmp_path):
    gateway, name = admin("422 Unprocessable Content", {"detail": "refused"})
    config = tmp_path / "gateway.yaml"
    config.write_text(f"listeners: 7\nadmin: {{address: '{name}', token: secret}}\nroutez: []\n")
    result = run("-c", str(config))
    assert result.exit_code == 1
    assert "refused" in result.output
    assert b"Bearer secret" in gateway.request


@pytest.mark.parametrize(
    "text", ["{", "admin: {address: 7}\n", "- 1\n", "admin: {address: 127.0.0.1:1, x: [}\n"]
)
def test_a_file_that_names_no_gateway_is_refused_with_its_problems(tmp_path, text):
    config = tmp_path / "gateway.yaml"
    config.write_text(text)
    result = run("-c", str(config))
    assert result.exit_code == 1
    assert "gateway.yaml" in result.output


def test_a_file_that_is_not_there_is_refused(tmp_path):
    result = run("-c", str(tmp_path / "absent.yaml"))
    assert result.exit_code == 1
    assert "there is no such file" in result.output
    assert "was not asked" in result.output
