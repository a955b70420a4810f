"""Large bodies down and up over a few connections: every byte counted, every length checked.

Run as `python -m bench.load.bodies JSON` in a process of its own, so that it can be pinned; prints one line
of JSON. Blocking sockets in threads: copying from and to the kernel lets go of the interpreter, 2 GB/s is
enough.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import process
from bench.errors import BenchError, VoidError
from bench.load import traffic

BUFFER = 256 << 10


@dataclass(frozen=True)
class Job:
    port: int
    path: str
    requests: int
    connections: int
    size: int
    upload: str = ""  # the file to send; empty: download


@dataclass(frozen=True)
class Result:
    bytes: int
    seconds: float


def read_head(sock: socket.socket) -> tuple[int, int, bytes]:
    """Status, Content-Length, and what was read beyond the head."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(BUFFER)
        if not piece:
            raise VoidError("the connection was closed before the answer")
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    length = -1
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            length = int(value)
    return int(lines[0].split()[1]), length, rest


def download(sock: socket.socket, job: Job, buffer: memoryview) -> int:
    sock.sendall((traffic.head("GET", job.path, traffic.headers(0)) + "\r\n").encode())
    status, length, rest = read_head(sock)
    if status != 200 or length != job.size:
        raise VoidError(f"GET {job.path}: status {status}, length {length}, wanted 200 and {job.size}")
    got = len(rest)
    while got < length:
        count = sock.recv_into(buffer)
        if not count:
            raise VoidError(f"GET {job.path}: cut after {got} of {length} bytes")
        got += count
    if got != length:
        raise VoidError(f"GET {job.path}: {got} bytes instead of {length}")
    return got


def upload(sock: socket.socket, job: Job, file: int) -> int:
    fields = [*traffic.headers(0), ("Content-Length", str(job.size))]
    sock.sendall((traffic.head("POST", job.path, fields) + "\r\n").encode())
    sent = 0
    while sent < job.size:
        sent += os.sendfile(sock.fileno(), file, sent, job.size - sent)
    status, length, rest = read_head(sock)
    while len(rest) < length:
        rest += sock.recv(BUFFER)
    if status != 200 or json.loads(rest)["received"] != job.size:
        raise VoidError(f"POST {job.path}: status {status}, answer {rest[:100]!r}")
    return sent


def _one_connection(job: Job, share: int, totals: list[int], errors: list[str]) -> None:
    try:
        file = os.open(job.upload, os.O_RDONLY) if job.upload else -1
        buffer = memoryview(bytearray(BUFFER))
        with socket.create_connection(("127.0.0.1", job.port), timeout=60) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if job.upload:
                sock.settimeout(None)  # os.sendfile wants a blocking socket
            for _ in range(share):
                totals.append(upload(sock, job, file) if job.upload else download(sock, job, buffer))
    except (OSError, ValueError, KeyError, VoidError) as error:
        errors.append(f"{type(error).__name__}: {error}")


def transfer(job: Job) -> dict[str, object]:
    totals: list[int] = []
    errors: list[str] = []
    share = job.requests // job.connections
    threads = [
        threading.Thread(target=_one_connection, args=(job, share, totals, errors))
        for _ in range(job.connections)
    ]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - begin
    return {"bytes": sum(totals), "done": len(totals), "seconds": seconds, "errors": errors}


def run(job: Job, cores: tuple[int, ...]) -> Result:
    argv = [sys.executable, "-m", "bench.load.bodies", json.dumps(asdict(job))]
    return parse(process.run(argv, cores, 180), job)


def parse(output: str, job: Job) -> Result:
    found = json.loads(output)
    if found["errors"]:
        raise VoidError("; ".join(found["errors"][:3]))
    wanted = job.requests // job.connections * job.connections
    if found["done"] != wanted or found["bytes"] != wanted * job.size:
        raise BenchError(
            f"{found['done']} transfers of {found['bytes']} bytes, wanted {wanted} of {job.size} each"
        )
    return Result(found["bytes"], found["seconds"])


def make_file(path: Path, size: int) -> Path:
    """Bytes that differ everywhere.

    A piece that arrives twice or in the wrong place is seen by the comparison.
    """
    if not path.exists() or path.stat().st_size != size:
        with path.open("wb") as file:
            for _ in range(size >> 20):
                file.write(os.urandom(1 << 20))
    return path


if __name__ == "__main__":
    print(json.dumps(transfer(Job(**json.loads(sys.argv[1])))))
