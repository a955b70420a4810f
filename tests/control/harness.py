"""Documents, a log that can be read, and a control process without its family, for the tests of control."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

from fastgw.account.series import SeriesMemory, Word, WorkerState
from fastgw.control.health_check import Probe, Verdict
from fastgw.control.names import Found
from fastgw.control.operator_log import OperatorLog
from fastgw.control.process import Control
from fastgw.gateway.document.load import load_file, load_plain
from fastgw.gateway.document.model import Document
from fastgw.gateway.document.publish import current
from fastgw.ipc.channel import Channel, Received, pair
from fastgw.ipc.context import ControlContext
from fastgw.versions.store import FileStore


class ReadableLog(OperatorLog):
    """The log, and what was said into it."""

    def __init__(self) -> None:
        self._read, write = os.pipe2(os.O_NONBLOCK)
        self.write_fd = write
        super().__init__(write)

    def lines(self) -> list[str]:
        try:
            data = os.read(self._read, 1 << 16).decode()
        except BlockingIOError:
            return []
        assert all(line.startswith("!") for line in data.splitlines())
        return [line[1:] for line in data.splitlines()]

    def close(self) -> None:
        os.close(self._read)
        os.close(self.write_fd)


def make_document(**more: Any) -> Document:
    plain: dict[str, Any] = {
        "listeners": [{"address": "127.0.0.1:8080"}],
        "upstreams": {"orders": {"targets": ["http://127.0.0.1:9001"]}},
        "routes": [{"name": "orders", "match": {"path": "/orders/*"}, "upstream": "orders"}],
        **more,
    }
    if "upstreams" in more and "routes" not in more:
        plain["routes"] = []  # the usual one needs the usual upstream
    return load_plain(plain, "test")


CONFIG = """\
listeners: [{{address: 127.0.0.1:8080}}]
admin: {{address: 127.0.0.1:9901, token: "{token}"}}
store: "file:{store}"
instance: {instance}
workers: 2
upstreams:
  orders: {{targets: ["http://orders.internal:9001"]}}
routes:
  - {{name: orders, match: {{path: /orders/*}}, upstream: orders}}
"""


class Gateway:
    """A control process in this process, with the test in the place of the supervisor and of two workers."""

    def __init__(self, folder: Path, admin: socket.socket, log: ReadableLog, token: str = "") -> None:
        self.folder = folder
        self.path = folder / "gateway.yaml"
        self.token = token
        self.log = log
        self.admin = admin
        self.port = admin.getsockname()[1]
        self.series = SeriesMemory(4, 4096, 65536)
        self.resolved: dict[str, list[str]] = {"orders.internal": ["10.0.0.1"]}
        self.checked: list[Probe] = []
        self.verdicts: dict[str, Verdict] = {}  # by address; others are well
        self.write()
        self.store = FileStore(folder / "versions")
        version, self.document = current(self.store, load_file(self.path, {}), "start")
        self.version = version.number
        ours, self.supervisor_socket = pair()
        self.supervisor = Channel(self.supervisor_socket)
        self.context = ControlContext(
            admin=admin,
            supervisor=ours,
            log_fd=log.write_fd,
            config_path=self.path,
            environ={},
            parts=self.document.parts(),
            version=self.version,
            hash=self.document.hash,
            addresses=(),
            series=self.series,
            workers=2,
            supervisor_pid=os.getpid(),
            started_at=1.0,
            restarts=3,
        )
        self.living = 0  # gateways that the store of the limits knows; 0: it does not answer
        self.announced: list[tuple[str, bytes, str]] = []
        self.inbox: list[Received] = []
        self.control: Control  # set by the fixture, on its event loop

    def write(self, text: str | None = None, instance: str = "one") -> None:
        made = CONFIG.format(store=self.folder / "versions", token=self.token, instance=instance)
        self.path.write_text(made if text is None else text)

    async def resolve(self, host: str) -> Found:
        return Found(tuple(self.resolved[host]))

    async def check(self, probe: Probe) -> Verdict:
        self.checked.append(probe)
        return self.verdicts.get(probe.address, Verdict(True, "answered 200"))

    async def announce(self, url: str, prefix: bytes, instance: str) -> int:
        self.announced.append((url, prefix, instance))
        if not self.living:
            raise OSError("there is no store in this test")
        return self.living

    def serve(self) -> None:
        """As two workers that are up to date would."""
        for index in range(2):
            slot = self.series.slot(index)
            slot.set(Word.PID, 1000 + index)
            slot.set(Word.STATE, WorkerState.SERVING)
            slot.set(Word.VERSION, self.version)
            slot.set(Word.VERSION_AT, 1)

    async def heard(self, kind: str) -> Received:
        """The next message of this type that the supervisor gets; others are passed over."""
        return await receive(self.supervisor, self.inbox, kind)


async def receive(channel: Channel, inbox: list[Received], kind: str) -> Received:
    loop = asyncio.get_running_loop()
    while True:
        while inbox:
            received = inbox.pop(0)
            if received.type == kind:
                return received
        readable = asyncio.Event()
        loop.add_reader(channel.fileno(), readable.set)
        try:
            async with asyncio.timeout(10):
                await readable.wait()
        finally:
            loop.remove_reader(channel.fileno())
        inbox.extend(channel.receive())
