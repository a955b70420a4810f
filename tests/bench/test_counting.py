"""Counting replaces methods of the loop for a whole process, so it is tried in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import asyncio, logging, os, sys, time
from pathlib import Path
import uvloop
from bench.counting import Counts, install

counts = Counts(Path(sys.argv[1]), frames=True)
install(counts)

async def nothing():
    pass

def busy():
    end = time.thread_time() + 0.02
    while time.thread_time() < end:
        pass

async def main():
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(loop.create_task(nothing()) for _ in range(5)))
    loop.call_later(0, busy)
    logging.getLogger("x").error("said")
    await asyncio.wait_for(asyncio.sleep(0.05), 1)

if os.fork() == 0:
    uvloop.new_event_loop().run_until_complete(main())
    counts.write()
    print(os.getpid(), flush=True)
    os._exit(0)
os.wait()
"""


def test_a_forked_process_counts_its_own_calls(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    found = json.loads((tmp_path / f"{done.stdout.strip()}.json").read_text())
    calls = found["calls"]
    assert calls["create_task"] >= 5
    assert calls["logging"] == 1
    assert calls["asyncio.wait_for"] == 1
    assert calls["call_later"] >= 2
    assert found["frames"]["<string> nothing"] == 5
    assert [name for _, used, name in found["long"] if used > 0.015] == ["busy"]
