"""`python -m fastgw.cli.faults`: it prints where it is, fails as told, and ends on TERM."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from tests.support.faults import fault_process

MODULE = [sys.executable, "-m", "fastgw.cli.faults"]


def test_it_says_where_it_is_is_told_and_ends():
    arguments = ["--listen", "a=127.0.0.1:0", "--listen", "127.0.0.1:0", "--proxy", "p=127.0.0.1:0,a"]
    with fault_process(*arguments, "--order", '{"mode": "status"}') as faults:
        second = next(name for name in faults.addresses if name not in "ap")
        assert faults.addresses[second] == second
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(f"{faults.url('p')}/x", timeout=5)
        raised.value.close()
        assert raised.value.code == 503
        assert faults.tell("a", "ok", seconds=60)["requests"] == 1
        for name in faults.addresses:
            if name != second:
                with urllib.request.urlopen(f"{faults.url(name)}/x", timeout=5) as answer:
                    assert json.load(answer)["target"] == "a"
        assert faults.counts("a")["requests"] == 3
        faults.restart_counts()
        assert (faults.counts("a")["requests"], faults.counts(second)["mode"]) == (0, "ok")
        faults.process.send_signal(signal.SIGTERM)
        assert faults.process.wait(5) == 0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "nothing to listen on"),
        (["--listen", "here"], "no HOST:PORT"),
        (["--listen", "127.0.0.1:99999"], "no HOST:PORT"),
        (["--listen", "a=127.0.0.1:0", "--listen", "a=127.0.0.1:0"], "two are named a"),
        (["--proxy", "127.0.0.1:0"], "no HOST:PORT"),
        (["--listen", "127.0.0.1:0", "--order", "{"], "JSON"),
        (["--listen", "127.0.0.1:0", "--order", '{"mode": "nap"}'], "none of ok"),
    ],
)
def test_refused(arguments, word):
    ended = subprocess.run([*MODULE, *arguments], capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode in (1, 2)
    assert word in ended.stderr
