"""Pictures of the dashboard for the README, from a real gateway under a small load: `python tests/dashboard/picture.py`.

Starts `fastgw demo`, sends it traffic for some minutes while one of its services fails and recovers and versions are
published, and photographs the overview in dark and in light.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.dashboard.browser import launched  # noqa: E402 (found by the line above)
from tests.support.gateway import free_port  # noqa: E402

FOLDER = ROOT / "deploy" / "pictures"
SIZE = {"width": 1360, "height": 1130}
MOST_BYTES = 300_000

# Path, headers with the demo's key in the place of KEY, and how often among the others.
MIX: tuple[tuple[str, dict[str, str], int], ...] = (
    ("/hello/world", {}, 8),
    ("/shop/shoes", {}, 7),
    ("/shop/hats", {"X-Tester": "yes"}, 1),
    ("/orders/7", {"X-API-Key": "KEY"}, 2),
    ("/orders/7", {}, 1),
    ("/old/page", {}, 1),
    ("/nowhere", {}, 1),
)


class Demo:
    """The gateway, its upstreams, and what its guide says of them."""

    def __init__(self) -> None:
        self.port, self.admin = free_port(), free_port()
        command = [
            sys.executable,
            "-m",
            "fastgw",
            "demo",
            f"--port={self.port}",
            f"--admin-port={self.admin}",
        ]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        guide = "".join(itertools.takewhile(lambda line: not line.startswith("Ctrl-C"), self.process.stdout))
        self.key = re.findall(r"X-API-Key: (\S+)'", guide)[0]
        self.faults = int(re.findall(r":(\d+)/_fault", guide)[0])
        # It goes on to speak: the log of exchanges. Nobody reads it here.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)

    def ask(self, port: int, method: str, path: str, body: object = None, **fields: str) -> None:
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        headers = {
            "Content-Type": "application/json",
            **{name.replace("_", "-"): each for name, each in fields.items()},
        }
        line.request(method, path, None if body is None else json.dumps(body), headers)
        answer = line.getresponse()
        answer.read()
        line.close()
        assert answer.status < 300, (method, path, answer.status)


def send(demo: Demo, until: float, pause: float) -> None:
    """One client on one connection."""
    line = http.client.HTTPConnection("127.0.0.1", demo.port, timeout=5)
    rounds = itertools.cycle([each for path, headers, often in MIX for each in [(path, headers)] * often])
    while time.monotonic() < until:
        path, headers = next(rounds)
        try:
            line.request(
                "GET", path, headers={name: value.replace("KEY", demo.key) for name, value in headers.items()}
            )
            line.getresponse().read()
        except (OSError, http.client.HTTPException):
            line.close()  # an answer that was cut on purpose
        time.sleep(pause)


def live(demo: Demo, minutes: float) -> None:
    """What happens meanwhile: a new version, trouble with two services, and another version."""
    length = minutes * 60
    begun = time.monotonic()
    for number in range(4):
        threading.Thread(
            target=send, args=(demo, begun + length + 30, 0.02 + number / 100), daemon=True
        ).start()
    canary = {"split": {"shop": 80, "shop-next": 20}}
    slow = {"mode": "delay", "ms": 120, "checks": False, "for": length * 0.06}

    def fault(name: str, told: dict[str, object]) -> None:
        demo.ask(demo.faults, "PUT", f"/_fault/{name}", told)

    def outage() -> None:
        for name in ("one", "two"):
            fault(name, {"mode": "refuse", "for": length * 0.05})

    steps: tuple[tuple[float, Callable[[], None]], ...] = (
        (
            0.3,
            lambda: demo.ask(
                demo.admin, "PATCH", "/api/routes/shop?note=canary+20+%25", canary, If_Match="*"
            ),
        ),
        (0.45, lambda: fault("one", slow)),
        (0.62, outage),
        (0.8, lambda: demo.ask(demo.admin, "POST", "/api/config/rollback", {"version": 1}, If_Match="*")),
        (0.97, lambda: fault("two", {"mode": "refuse", "for": 600})),
        (1.0, lambda: None),
    )
    for share, act in steps:
        time.sleep(max(0.0, begun + share * length - time.monotonic()))
        act()


def photograph(url: str, view: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with launched() as browser:
        for scheme in ("dark", "light"):
            page = browser.new_page(viewport=SIZE, color_scheme=scheme)  # type: ignore[arg-type]  # one of the two
            page.goto(f"{url}/#{view}")
            page.wait_for_selector("#ready.good")
            page.wait_for_selector("canvas")
            page.wait_for_timeout(1500)
            file = FOLDER / f"dashboard-{scheme}.png"
            page.screenshot(path=file)
            print(f"{file.relative_to(ROOT)}: {file.stat().st_size:,} bytes")  # noqa: T201 (a command)
            assert file.stat().st_size < MOST_BYTES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="of traffic before the picture (default: 10)"
    )
    minutes = parser.parse_args().minutes
    demo = Demo()
    try:
        live(demo, minutes)
        photograph(f"http://127.0.0.1:{demo.admin}", "overview")
    finally:
        demo.stop()


if __name__ == "__main__":
    main()
