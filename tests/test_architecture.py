"""The source keeps its shape, and each rule that says so refuses what it is there to refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.architecture import LONG_FUNCTIONS, RULES, Source, read_tree

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def sources() -> list[Source]:
    return read_tree(ROOT, "fastgw", "bench", "k6", "tests")


@pytest.mark.parametrize("rule", RULES)
def test_the_source_keeps_to(rule: str, sources: list[Source]) -> None:
    assert list(RULES[rule](sources)) == []


def test_the_tree_that_is_read_is_the_whole_one(sources: list[Source]) -> None:
    paths = {source.path for source in sources}
    assert {"fastgw/gateway/phases.py", "bench/cli.py", "k6/cli.py", "tests/test_architecture.py"} <= paths


LINE = "number = 1\n"
LONG = "def long():\n" + "    pass\n" * 60
EXCEPTED_PATH, EXCEPTED_NAME = next(iter(LONG_FUNCTIONS))

# rule, path, text, a word of the complaint
REFUSED = [
    ("floors", "fastgw/gateway/x.py", "from fastgw.edge.connection import Connection", "floor 5"),
    ("floors", "fastgw/gateway/x.py", "import fastgw.edge", "floor 5"),
    ("floors", "fastgw/gateway/x.py", "from fastgw import worker", "floor 6"),
    ("floors", "fastgw/routing/x.py", "from fastgw.policy.rewrite import PathRewrite", "floor 3"),
    ("floors", "fastgw/worker/x.py", "from fastgw.control import api", "floor 6"),
    ("floors", "fastgw/clock.py", "from fastgw.errors import Reason", "floor 0"),
    ("floors", "fastgw/cli/x.py", "from fastgw.__main__ import main", "floor 9"),
    ("floors", "fastgw/edge/x.py", "def f():\n    from fastgw.cli.run import run_file", "floor 8"),
    ("floors", "fastgw/edge/x.py", "if TYPE_CHECKING:\n    from fastgw.worker.process import P", "floor 6"),
    ("floors", "fastgw/edge/x.py", "from .connection import Connection", "relative"),
    ("floors", "fastgw/edge/x.py", "from .. import gateway", "relative"),
    ("floors", "fastgw/extras/x.py", "", "stands on no floor"),
    ("floors", "fastgw/thing.py", "", "stands on no floor"),
    ("floors", "fastgw/edge/x.py", "from fastgw.extras import x", "stands on no floor"),
    ("owners", "fastgw/edge/x.py", "import httptools", "only http1"),
    ("owners", "fastgw/edge/x.py", "from httptools.parser import errors", "only http1"),
    ("owners", "fastgw/policy/x.py", "import redis.asyncio", "only limiter, versions"),
    ("owners", "fastgw/control/x.py", "from hiredis import Reader", "only limiter, versions"),
    ("owners", "fastgw/worker/x.py", "from aiohttp import web", "only control"),
    ("owners", "fastgw/upstream/x.py", "import aiodns", "only control"),
    ("owners", "fastgw/account/x.py", "import prometheus_client", "only control"),
    ("owners", "fastgw/control/x.py", "from rich.console import Console", "only cli"),
    ("owners", "fastgw/supervisor/x.py", "def f():\n    import uvloop", "only control, worker"),
    ("never", "fastgw/http1/x.py", "import asyncio", "never"),
    ("never", "fastgw/http1/x.py", "from asyncio import Protocol", "never"),
    ("never", "fastgw/supervisor/x.py", "import threading", "never"),
    ("never", "fastgw/control/x.py", "from fastgw.edge.dataplane import DataPlane", "never"),
    ("never", "fastgw/control/x.py", "from fastgw import worker", "never"),
    ("imports_by_name", "fastgw/edge/x.py", "import importlib", "hides"),
    ("imports_by_name", "fastgw/edge/x.py", "from importlib import import_module", "hides"),
    ("banned_calls", "fastgw/edge/x.py", "import time\ndef f():\n    time.sleep(1)", "event"),
    ("banned_calls", "fastgw/upstream/x.py", "from time import monotonic", "passed in"),
    ("banned_calls", "fastgw/account/x.py", "import time\nnow = time.time", "passed in"),
    ("banned_calls", "fastgw/upstream/x.py", "import socket\nsocket.getaddrinfo('a', 1)", "control"),
    ("file_lengths", "fastgw/edge/x.py", LINE * 401, "401 lines"),
    ("file_lengths", "tests/edge/test_x.py", LINE * 401, "401 lines"),
    ("function_lengths", "fastgw/edge/x.py", LONG, "long() has 61 lines"),
    ("function_lengths", "bench/x.py", "class A:\n" + LONG.replace("def", " async def").replace("    p", "     p"), "61"),
    ("function_lengths", EXCEPTED_PATH, f"def {EXCEPTED_NAME}():\n    pass\n", "take it off"),
    ("names", "fastgw/edge/utils.py", "", "utils"),
    ("names", "fastgw/common/x.py", "", "common"),
    ("names", "tests/edge/test_helpers.py", "", "test_helpers"),
    ("names", "bench/manager.py", "", "manager"),
    ("names", "fastgw/edge/_misc.py", "", "_misc"),
    ("inits", "fastgw/edge/__init__.py", '"""Edge."""\nfrom fastgw.edge.x import X', "logic"),
    ("inits", "fastgw/edge/__init__.py", '"""Edge."""\n__version__ = "1"', "logic"),
    ("inits", "fastgw/__init__.py", '"""Words."""\n__version__ = read()', "logic"),
    ("inits", "fastgw/edge/__init__.py", "", "no docstring"),
    ("docstrings", "fastgw/edge/x.py", "import asyncio", "no docstring"),
    ("docstrings", "fastgw/edge/x.py", '"""' + "line\n" * 10 + '"""', "10 lines"),
    ("module_state", "fastgw/edge/x.py", "SEEN = {}", "empty"),
    ("module_state", "fastgw/edge/x.py", "SEEN: list[int] = []", "empty"),
    ("module_state", "fastgw/edge/x.py", "seen = set()", "set()"),
    ("module_state", "fastgw/edge/x.py", "seen = collections.defaultdict(list)", "defaultdict()"),
    ("module_state", "fastgw/edge/x.py", "lock = asyncio.Lock()", "Lock()"),
    ("module_state", "fastgw/edge/x.py", "class A:\n    workers: dict[int, int] = {}", "empty"),
    ("module_state", "fastgw/edge/x.py", "T = {1: 2}\ndef f():\n    T[3] = 4", "changes T"),
    ("module_state", "fastgw/edge/x.py", "T = {1: 2}\ndef f():\n    T[3] += 4", "changes T"),
    ("module_state", "fastgw/edge/x.py", "T = {1: 2}\ndef f():\n    del T[1]", "changes T"),
    ("module_state", "fastgw/edge/x.py", "_T = [1]\ndef f():\n    _T.append(2)", "changes _T"),
    ("module_state", "fastgw/edge/x.py", "from fastgw.errors import T\ndef f():\n    T.clear()", "changes T"),
    ("module_state", "fastgw/edge/x.py", "from fastgw import errors\ndef f():\n    errors.T[1] = 2", "changes T"),
    ("module_state", "fastgw/edge/x.py", "N = 0\ndef f():\n    global N\n    N += 1", "global N"),
    ("module_state", "fastgw/edge/x.py", "@lru_cache(maxsize=9)\ndef f(): ...", "keeps"),
    ("module_state", "fastgw/edge/x.py", "@functools.cache\ndef f(): ...", "keeps"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "path", "text", "word"), REFUSED)
def test_refused(rule: str, path: str, text: str, word: str) -> None:
    complaints = list(RULES[rule]([Source(path, text)]))
    assert len(complaints) == 1, complaints
    assert complaints[0].startswith(f"{path}:")
    assert word in complaints[0]


ACCEPTED = [
    ("floors", "fastgw/edge/x.py", "import os\nfrom fastgw.gateway.phases import X\nfrom fastgw.edge.y import Y"),
    ("floors", "fastgw/supervisor/x.py", "from fastgw import __version__\nfrom fastgw.worker import process"),
    ("floors", "fastgw/__main__.py", "from fastgw.cli.main import main"),
    ("floors", "bench/x.py", "from fastgw.edge.dataplane import DataPlane"),
    ("floors", "fastgw/edge/x.py", "import fastgwish.worker"),
    ("owners", "fastgw/http1/x.py", "import httptools"),
    ("owners", "fastgw/edge/x.py", "import redistribution"),
    ("owners", "tests/x.py", "import aiohttp"),
    ("never", "fastgw/edge/x.py", "import asyncio"),
    ("never", "fastgw/control/x.py", "from fastgw.gateway.compile import compile_snapshot"),
    ("imports_by_name", "fastgw/cli/main.py", "import importlib"),
    ("banned_calls", "fastgw/supervisor/x.py", "import time\ntime.monotonic()"),
    ("banned_calls", "fastgw/edge/x.py", "self.clock.monotonic()"),
    ("file_lengths", "fastgw/edge/x.py", LINE * 400),
    ("function_lengths", "fastgw/edge/x.py", LONG.replace("    pass\n", "", 1)),
    ("function_lengths", EXCEPTED_PATH, LONG.replace("long", EXCEPTED_NAME)),
    ("names", "fastgw/edge/commons_road.py", ""),
    ("inits", "fastgw/__init__.py", '"""Words."""\n\n__version__ = "1.0"'),
    ("inits", "fastgw/edge/__init__.py", '"""Edge."""'),
    ("docstrings", "fastgw/edge/x.py", '"""' + "line\n" * 9 + '"""'),
    ("docstrings", "fastgw/edge/x.py", '"""The order:\n\n' + "    row\n" * 20 + '"""'),
    ("module_state", "fastgw/edge/x.py", "T = {1: 2}\nN = re.compile('x')\ndef f():\n    seen = {}\n    seen[1] = T[1]"),
    ("module_state", "fastgw/edge/x.py", "class A:\n  def f(self):\n    self.seen = []\n    self.seen.append(1)"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "path", "text"), ACCEPTED)
def test_accepted(rule: str, path: str, text: str) -> None:
    assert list(RULES[rule]([Source(path, text)])) == []


def test_every_rule_is_seen_to_refuse_and_to_accept() -> None:
    assert {row[0] for row in REFUSED} == {row[0] for row in ACCEPTED} == set(RULES)
