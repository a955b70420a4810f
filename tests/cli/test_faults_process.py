"""`python -m fastgw.cli.faults`: it prints where it is, fails as told, and ends on TERM."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

MODULE = [sys.executable, "-m", "fastgw.cli.faults"]


def test_it_says_where_it_is_is_told_and_ends():
    arguments = ["--listen", "a=127.0.0.1:0", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]
    process = subprocess.Popen([*MODULE, *arguments, "--order", '{"mode": "status"}'], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        second = next(name for name in said["targets"] if name != "a")
        assert said["targets"][second] == second
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(f"http://{said['targets']['a']}/x", timeout=5)
        raised.value.close()
        assert raised.value.code == 503
        told = urllib.request.Request(
            f"http://{said['control']}/_fault/a", data=b'{"mode": "ok"}', method="PUT"
        )
        with urllib.request.urlopen(told, timeout=5) as answer:
            assert json.load(answer)["requests"] == 1
        with urllib.request.urlopen(f"http://{said['targets']['a']}/x", timeout=5) as answer:
            assert json.load(answer)["target"] == "a"
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "nothing to listen on"),
        (["--listen", "here"], "no HOST:PORT"),
        (["--listen", "127.0.0.1:99999"], "no HOST:PORT"),
        (["--listen", "a=127.0.0.1:0", "--listen", "a=127.0.0.1:0"], "two are named a"),
        (["--listen", "127.0.0.1:0", "--order", "{"], "JSON"),
        (["--listen", "127.0.0.1:0", "--order", '{"mode": "nap"}'], "none of ok"),
    ],
)
def test_refused(arguments, word):
    ended = subprocess.run([*MODULE, *arguments], capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode in (1, 2)
    assert word in ended.stderr
