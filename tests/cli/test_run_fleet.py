"""What a gateway of a fleet starts with. The store is asked in a child, since redis-py would stay in every worker."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastgw.cli.run import settings_of
from fastgw.config.errors import ConfigError
from fastgw.gateway.document.load import load_file
from fastgw.gateway.document.publish import open_store
from tests.support.valkey import Valkey

CONFIG = """\
listeners: [{{address: 127.0.0.1:8080}}]
instance: {instance}
workers: 1
store: redis
redis: {{url: "{url}", prefix: "t:"}}
routes: [{{name: a, match: {{path: /a}}, reply: {{status: 204}}}}]
"""


@pytest.fixture(scope="module")
def shared_valkey() -> Iterator[Valkey]:
    with Valkey() as server:
        yield server


@pytest.fixture
def valkey(shared_valkey: Valkey) -> Valkey:
    shared_valkey.client().flushall()
    return shared_valkey


def write(folder: Path, url: str, instance: str = "one") -> Path:
    file = folder / f"{instance}.yaml"
    file.write_text(CONFIG.format(url=url, instance=instance))
    return file


def test_the_file_is_published_once_for_all(valkey: Valkey, tmp_path: Path) -> None:
    one, two = write(tmp_path, valkey.url), write(tmp_path, valkey.url, "two")
    assert [settings_of(file).version for file in (one, two, one)] == [1, 1, 1]
    store = open_store(load_file(one, {}))
    changed = load_file(one, {}).plain | {"drain": {"timeout": "3s"}}
    store.add(changed, "-", "api", "", False)
    settings = settings_of(two)
    assert (settings.version, settings.document.base.instance) == (2, "two")
    assert settings.document.base.drain.timeout == 3.0


def test_nothing_of_redis_stays(valkey: Valkey, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from fastgw.cli.run import settings_of\n"
        "assert settings_of(Path(sys.argv[1])).version == 1\n"
        "sys.exit('redis' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code, str(write(tmp_path, valkey.url))], check=False)
    assert found.returncode == 0


def test_a_store_that_is_away_is_no_reason_not_to_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of(write(tmp_path, "redis://:secret@127.0.0.1:1"))
    assert settings.version == 0
    warning = capsys.readouterr().err
    assert warning.startswith("fastgw: warning: the version store redis://127.0.0.1:1 cannot be used: ")
    assert warning.endswith("until then the file is served, as version 0\n")
    assert "secret" not in warning


def test_a_store_that_is_damaged_is_one(valkey: Valkey, tmp_path: Path) -> None:
    file = write(tmp_path, valkey.url)
    settings_of(file)
    valkey.client().hset("t:{versions}:contents", "1", "x")
    with pytest.raises(
        ConfigError, match=r"store: version 1 in t:\{versions\}:heads in unix:.* is damaged: .*; publish"
    ):
        settings_of(file)


def test_a_version_that_is_not_accepted_here_is_one(valkey: Valkey, tmp_path: Path) -> None:
    file = write(tmp_path, valkey.url)
    settings_of(file)
    open_store(load_file(file, {})).add({**load_file(file, {}).plain, "future": 1}, "-", "api", "", False)
    with pytest.raises(ConfigError, match="version 2 of the store: future: unknown key"):
        settings_of(file)
