"""What one case runs in: the shared upstream and the sides, started, checked to answer, and stopped again."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

from bench import admin, backend, cpu, faults, process, store
from bench.errors import BenchError
from bench.faults import Faults
from bench.machine import Pinning
from bench.process import Process
from bench.sides.side import Command, Plan, Policies, Writer
from bench.sides.table import OURS, WRITERS
from bench.store import Store


@dataclass(frozen=True)
class Wanted:
    """An instance of a side: several of the same kind may run side by side (10 and 10,000 routes)."""

    label: str
    kind: str
    workers: int = 1
    routes: int = 0
    tuned: bool = False
    policies: Policies | None = None


@dataclass(frozen=True)
class Instance:
    wanted: Wanted
    plan: Plan
    command: Command
    process: Process
    store: Store | None = None  # only ours, with limits

    @property
    def label(self) -> str:
        return self.wanted.label

    @property
    def port(self) -> int:
        return self.plan.port

    def sample(self) -> cpu.Sample:
        """CPU time of all its processes: supervisor, workers, logger, control; or master, worker."""
        return cpu.read_sample(self.process.pid)

    def pids(self) -> list[int]:
        return cpu.process_tree(self.process.pid)

    def log_lines(self) -> int:
        path = self.process.output if self.command.logs_to_output else self.plan.access_log
        if not path.exists():
            return 0
        with path.open("rb") as file:
            return sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b""))


@dataclass
class World:
    """A context: everything that it started has ended when it is left."""

    folder: Path
    cores: Pinning
    fault: backend.Fault | None = None
    instances: list[Instance] = field(default_factory=list)
    upstream_port: int = 0
    sink_port: int = 0
    upstream: Process | None = None
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> World:
        try:
            self._start_upstream()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        for instance in self.instances:  # hundreds of megabytes of log lines that are counted by now
            instance.plan.access_log.unlink(missing_ok=True)

    def _spawn(
        self, name: str, argv: Sequence[str], cores: Sequence[int], command: Command | None
    ) -> Process:
        output = self.folder / name / "output.log"
        started = process.spawn(name, argv, cores, output, command.environ if command else None)
        self._stack.callback(process.stop, started)
        return started

    def _start_upstream(self) -> None:
        folder = self.folder / "upstream"
        folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "sink").mkdir(exist_ok=True)
        self.upstream_port, self.sink_port = process.free_port(), process.free_port()
        argv = backend.write(folder, self.upstream_port, self.fault)
        self.upstream = self._spawn("upstream", argv, self.cores.load, None)
        sink = process.sink_argv(self.sink_port)
        sink_process = self._spawn("sink", sink, self.cores.load, None)
        process.wait_until("listening", self.upstream, lambda: process.accepts(self.upstream_port))
        process.wait_until("listening", sink_process, lambda: process.accepts(self.sink_port))

    def start_faults(self, *names: str) -> Faults:
        """Services that fail as told, in one process beside the upstream."""
        folder = self.folder / "faults"
        folder.mkdir(exist_ok=True)
        (folder / "output.log").unlink(missing_ok=True)  # of a world before: it names other ports
        return faults.started(self._spawn("faults", faults.argv(names), self.cores.load, None))

    def _start_store(self, label: str) -> Store:
        """On a Unix socket in a folder of its own: the name of a socket may have 107 bytes at most."""
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-store-")))
        name = f"{label}-store"
        (self.folder / name).mkdir(parents=True, exist_ok=True)
        socket_path = folder / "store.sock"
        started = self._spawn(name, store.argv(socket_path), self.cores.load, None)
        found = Store(started, socket_path)
        process.wait_until("answering", started, found.answers)
        return found

    def start(self, wanted: Wanted, writer: Writer | None = None) -> Instance:
        folder = self.folder / wanted.label
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        policies, limits = wanted.policies, None
        if policies is not None and policies.limited and wanted.kind == OURS:
            limits = self._start_store(wanted.label)
            policies = replace(policies, store=limits.url)
        plan = Plan(
            folder=folder,
            port=process.free_port(),
            admin_port=process.free_port(),
            upstream_port=self.upstream_port,
            sink_port=self.sink_port,
            workers=wanted.workers,
            routes=wanted.routes,
            tuned=wanted.tuned,
            policies=policies,
        )
        command = (writer or WRITERS[wanted.kind])(plan)
        started = self._spawn(wanted.label, command.argv, self.cores.gateway, command)
        process.wait_until("listening", started, lambda: process.accepts(plan.port))
        if wanted.kind == OURS:
            # Control imports while the workers already serve: its start is no part of what a request costs, or leaks.
            process.wait_until("answering", started, lambda: admin.answers(plan.admin_port))
        instance = Instance(wanted, plan, command, started, limits)
        self.instances.append(instance)
        return instance

    def stop(self, instance: Instance) -> None:
        process.stop(instance.process)
        if instance.store is not None:
            process.stop(instance.store.process)
        self.instances.remove(instance)

    def configurations(self) -> dict[str, Path]:
        found = {instance.label: instance.command.config for instance in self.instances}
        found["upstream"] = self.folder / "upstream" / "upstream.conf"
        return found

    def check_alive(self) -> None:
        for instance in self.instances:
            if instance.process.popen.poll() is not None:
                raise BenchError(f"{instance.label} ended by itself:\n{instance.process.tail()}")
