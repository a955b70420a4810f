"""What comes through the admin API: nothing of it is expanded, read, or taken from this machine's folders."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fastgw.config.errors import ConfigError
from fastgw.gateway.document.load import load_file, load_plain
from fastgw.gateway.document.masking import MASK, masked
from fastgw.gateway.document.model import Document
from fastgw.gateway.document.sent import load_sent

EXAMPLE = Path(__file__).with_name("example.yaml")
PLAIN: dict[str, Any] = {
    "listeners": [{"address": "127.0.0.1:8080"}],
    "instance": "one",
    "store": "file:/var/lib/fastgw",
    "issuers": {"one": {"algorithms": ["HS256"], "secret": "a-secret-of-more-than-32-characters!"}},
    "upstreams": {"app": {"targets": ["http://127.0.0.1:9001"]}},
    "routes": [{"name": "all", "upstream": "app"}],
}


@pytest.fixture(scope="module")
def before() -> Document:
    return load_plain(copy.deepcopy(PLAIN), "before")


def problems(plain: Any, before: Document) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        load_sent(plain, "the document", before)
    assert all(problem.file == "the document" for problem in caught.value.problems)
    return {problem.path: problem.message for problem in caught.value.problems}


def test_the_same_is_the_same(before: Document) -> None:
    document = load_sent(copy.deepcopy(PLAIN), "the document", before)
    assert document.hash == before.hash
    assert document.routes["all"] is before.routes["all"]


def test_the_whole_example_as_it_is_shown_is_unchanged(tmp_path: Path) -> None:
    """Every secret that the example has, and every option."""
    plain = yaml.safe_load(EXAMPLE.read_text())
    for block in (plain, *plain["routes"]):
        block.pop("cache", None)  # what is not built yet
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps(plain))
    example = load_file(file, {}, tested=False)
    shown = masked(example.plain)
    assert MASK in str(shown) and shown != example.plain
    assert load_sent(shown, "the document", example).hash == example.hash


def test_what_the_machine_says_of_itself_may_be_left_out(before: Document) -> None:
    plain = {key: value for key, value in PLAIN.items() if key not in ("instance", "store")}
    assert load_sent({**plain, "store": None}, "the document", before).hash == before.hash


def test_variables_are_not_expanded(before: Document) -> None:
    reply = {"name": "all", "reply": {"status": 200, "body": "${HOME} ${X:-y}"}}
    document = load_sent({**copy.deepcopy(PLAIN), "routes": [reply]}, "the document", before)
    assert document.routes["all"].reply is not None
    assert document.routes["all"].reply.body == "${HOME} ${X:-y}"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"listeners": [{"address": "unix:here.sock"}]}, "listeners[0].address"),
        ({"admin": {"address": "unix:./admin.sock"}}, "admin.address"),
        ({"store": "file:./versions"}, "store"),
        ({"log": {"access": "access.log"}}, "log.access"),
        ({"upstreams": {"app": {"targets": ["unix:app.sock"]}}}, "upstreams.app.targets[0]"),
        ({"upstreams": {"app": {"targets": [{"url": "unix:app.sock"}]}}}, "upstreams.app.targets[0].url"),
    ],
)
def test_a_relative_path_has_nowhere_to_start(change: dict[str, Any], path: str, before: Document) -> None:
    found = problems({**copy.deepcopy(PLAIN), **change}, before)
    assert list(found) == [path]
    assert "is relative" in found[path]


def test_whole_paths_are_taken(before: Document) -> None:
    change = {"log": {"access": "/var/log/fastgw"}, "upstreams": {"app": {"targets": ["unix:/run/app.sock"]}}}
    document = load_sent({**copy.deepcopy(PLAIN), **change}, "the document", before)
    assert document.base.log.access == "/var/log/fastgw"


def test_a_secret_is_read_from_no_file(before: Document) -> None:
    plain = copy.deepcopy(PLAIN)
    plain["issuers"]["one"]["secret"] = "file:/etc/passwd-of-more-than-32-characters"
    plain["admin"] = {"token": "file:token"}
    found = problems(plain, before)
    assert set(found) == {"issuers.one.secret", "admin.token"}
    assert all("write the secret itself" in message for message in found.values())


def test_a_key_is_read_from_no_file(before: Document) -> None:
    plain = copy.deepcopy(PLAIN)
    plain["issuers"]["one"] = {"algorithms": ["ES256"], "public_key": "/etc/key.pem"}
    assert "in the admin API" in problems(plain, before)["issuers.one.public_key"]


def test_everything_that_is_wrong_is_said_at_once_and_once(before: Document) -> None:
    plain = copy.deepcopy(PLAIN)
    plain["issuers"]["two"] = {"algorithms": ["HS256"], "secret": MASK}
    plain["listeners"] = [{"address": "unix:x.sock"}]
    plain["odd"] = 1
    plain["routes"].append({"name": "other", "match": {"path": "/other"}, "upstream": "nowhere"})
    found = problems(plain, before)
    assert set(found) == {"issuers.two.secret", "listeners[0].address", "odd", "routes[1].upstream"}
    assert "here is none" in found["issuers.two.secret"]


@pytest.mark.parametrize("plain", [None, 3, "x", [], [PLAIN]])
def test_what_is_no_document(plain: Any, before: Document) -> None:
    assert "is not a mapping" in problems(plain, before)[""]


@pytest.fixture(scope="module")
def shared() -> Document:
    """Of a fleet."""
    plain = {**copy.deepcopy(PLAIN), "store": "redis", "redis": {"url": "redis://u:hush@host"}}
    return load_plain(plain, "before")


@pytest.mark.parametrize("own", [{}, {"instance": "one", "store": "redis", "redis": {"url": f"redis://{MASK}@host"}}])
def test_what_is_a_machines_own_may_be_left_out_or_as_it_is(own: dict[str, Any], shared: Document) -> None:
    plain = {key: copy.deepcopy(PLAIN[key]) for key in ("issuers", "upstreams", "routes")}
    assert load_sent({**plain, **own}, "the document", shared).hash == shared.hash


def test_what_is_a_machines_own_is_not_changed_for_all(shared: Document) -> None:
    found = problems({**copy.deepcopy(PLAIN), "store": None, "instance": "two", "workers": 3}, shared)
    assert set(found) == {"instance", "workers"}
    assert "in the machine's file" in found["instance"]
