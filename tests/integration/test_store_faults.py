"""A version store that is full, may not be written or is damaged: a clear error, and what runs goes on running."""

from __future__ import annotations

import json
import os
import resource
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.config import route
from tests.support.gateway import Died, Gateway


def config_of(body: str) -> dict[str, Any]:
    return {"upstreams": {}, "routes": [route("word", "/word", reply={"status": 200, "body": body})]}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    one = Gateway(tmp_path_factory.mktemp("faults"), config_of("file")).start()
    yield one
    one.check_ledger()
    one.stop()


@pytest.fixture
def store(gateway: Gateway) -> Path:
    return gateway.directory / "store"


def publish(gateway: Gateway, body: str) -> tuple[int, dict[str, Any]]:
    part = {"match": {"path": "/word"}, "reply": {"status": 200, "body": body}}
    fields = {"Content-Type": "application/json", "If-Match": "*"}
    code, answer = gateway.admin("/api/routes/word?wait=5s", "PUT", json.dumps(part).encode(), fields)
    return code, json.loads(answer)


def word(gateway: Gateway) -> str:
    with gateway.client() as client:
        return client.get("/word").body.decode()


def check_refused(gateway: Gateway, words: str) -> None:
    """By publishing and by reading the file again; nothing else has changed."""
    before, version = word(gateway), gateway.status()["version"]
    code, answer = publish(gateway, "never")
    assert (code, answer["reason"]) == (503, "store_unavailable")
    assert words in answer["detail"], answer
    gateway.write(config_of("never either"))
    code, body = gateway.admin("/api/reload", "POST", b"{}", {"Content-Type": "application/json"})
    assert code == 422
    assert words in body.decode()
    gateway.write(config_of("file"))
    assert (word(gateway), gateway.status()["version"]) == (before, version)
    assert gateway.admin("/readyz")[0] == 200


def test_a_full_disk(gateway: Gateway, store: Path) -> None:
    """A bound on the size of files cuts a write as a full disk does."""
    control = int(gateway.status()["control"]["pid"])
    before = resource.prlimit(control, resource.RLIMIT_FSIZE, (64, resource.RLIM_INFINITY))
    try:
        check_refused(gateway, "cannot be written: File too large; make room, or allow it")
    finally:
        resource.prlimit(control, resource.RLIMIT_FSIZE, before)
    assert not list(store.glob("*.tmp"))
    assert publish(gateway, "room again")[0] == 200
    assert word(gateway) == "room again"


def test_a_store_that_is_gone(gateway: Gateway, store: Path) -> None:
    aside = store.with_name("aside")
    store.rename(aside)
    store.write_text("no directory")
    try:
        check_refused(gateway, "cannot be")
    finally:
        store.unlink()
        aside.rename(store)
    assert publish(gateway, "there again")[0] == 200


def test_a_damaged_version_and_its_cure(gateway: Gateway, store: Path) -> None:
    """What runs does not need it. A start does, and says what to do, to the letter."""
    assert publish(gateway, "good")[0] == 200
    assert publish(gateway, "newest")[0] == 200
    newest = max(store.glob("*.json"))
    newest.write_bytes(newest.read_bytes().replace(b"newest", b"broken"))
    assert word(gateway) == "newest"
    code, body = gateway.admin("/api/config/rollback", "POST", b'{"version": %d}' % int(newest.stem),
                               {"Content-Type": "application/json", "If-Match": "*"})  # fmt: skip
    assert code == 503
    assert "is damaged: its content is not what was written" in body.decode()
    gateway.check_ledger()
    assert gateway.stop() == 0
    gateway.run()
    with pytest.raises(Died) as died:
        gateway.wait_ready()
    assert died.value.code == 1
    (line,) = [line for line in gateway.stderr().splitlines() if line.startswith("store: ")]
    assert f"{newest} is damaged" in line
    cure = shlex.split(line.rpartition("(")[2].rstrip(")"))
    assert cure[0] == "mv"
    subprocess.run(cure, check=True)
    gateway.log_path.unlink()
    gateway.journal = type(gateway.journal)(gateway.log_path)
    gateway.run()
    gateway.wait_ready()
    assert word(gateway) == "good"
    assert publish(gateway, "on top")[1]["version"] == int(newest.stem) + 1
    assert newest.name not in os.listdir(store)
