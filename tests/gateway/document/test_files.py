from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fastgw.gateway.document.files import MAX_SECRET, localise
from fastgw.gateway.document.load import load_file

TOKEN = "0123456789abcdef0123456789abcdef"

WITH_TOKEN = (
    "listeners: [{address: '127.0.0.1:8080'}]\nadmin: {address: '0.0.0.0:9901', token: 'file:token'}\n"
)


def test_paths_start_at_the_directory_of_the_file() -> None:
    plain = {
        "listeners": [
            {"address": "unix:a.sock"},
            {"address": "127.0.0.1:1", "tls": [{"certificate": "c.pem"}]},
        ],
        "admin": {"address": "unix:/run/../admin.sock"},
        "store": "file:./.fastgw",
        "log": {"access": "logs/access.log"},
        "upstreams": {
            "a": {"targets": ["unix:b.sock", {"url": "unix:c.sock"}, "http://x"]}
        },
    }
    assert list(localise(plain, Path("/etc/fastgw"))) == []
    assert plain == {
        "listeners": [
            {"address": "unix:/etc/fastgw/a.sock"},
            {"address": "127.0.0.1:1", "tls": [{"certificate": "/etc/fastgw/c.pem"}]},
        ],
        "admin": {"address": "unix:/admin.sock"},
        "store": "file:/etc/fastgw/.fastgw",
        "log": {"access": "/etc/fastgw/logs/access.log"},
        "upstreams": {
            "a": {
                "targets": ["unix:/etc/fastgw/b.sock", {"url": "unix:/etc/fastgw/c.sock"}, "http://x"],
            }
        },
    }


@pytest.mark.parametrize("word", ["stdout", "none"])
def test_words_are_no_paths(word: str) -> None:
    plain = {"log": {"access": word}, "store": "redis"}
    assert list(localise(plain, Path("/etc"))) == []
    assert plain == {"log": {"access": word}, "store": "redis"}


def test_whatever_stands_there_it_is_no_traceback() -> None:
    for value in (3, "x", [3], {"a": 3}, None, [[3]], {"address": [3]}):
        list(
            localise(
                dict.fromkeys(("listeners", "upstreams", "admin", "store", "log", "issuers"), value),
                Path("/"),
            )
        )


def test_a_secret_is_the_content_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(WITH_TOKEN)
    (tmp_path / "token").write_text(TOKEN + "\n")
    document = load_file(tmp_path / "gateway.yaml", {})
    assert document.base.admin.token == TOKEN
    # So a new secret is a new version at the next HUP.
    (tmp_path / "token").write_text(TOKEN.upper())
    assert load_file(tmp_path / "gateway.yaml", {}).hash != document.hash


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (None, "cannot be read: No such file"),
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"\xff\xfe", "is not text"),
        (b"x" * (MAX_SECRET + 1), "is larger than"),
        (b"two words", "printable ASCII"),
        (b"short", "less than 32 characters"),
    ],
)
def test_secrets_that_are_refused(
    problems: Callable[..., list[str]], tmp_path: Path, content: bytes | None, hint: str
) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    (found,) = problems(WITH_TOKEN)
    assert found.startswith("gateway.yaml:2: admin")
    assert hint in found
    assert not content or content.decode(errors="replace") not in found


def test_a_secret_in_a_directory(problems: Callable[..., list[str]], tmp_path: Path) -> None:
    (tmp_path / "token").mkdir()
    (found,) = problems(WITH_TOKEN)
    assert "cannot be read: Is a directory" in found
