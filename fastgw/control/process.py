"""Composition root of the control process: builds everything from what it is born with, serves, and ends when
the supervisor does.

Imported after the fork only: aiohttp costs 0.43 s and 20 MB, and no worker needs it.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import socket
from collections.abc import Coroutine, Mapping
from typing import Any

import uvloop
from aiohttp import web

from fastgw.account.series import SeriesMemory
from fastgw.clock import Clock, SystemClock
from fastgw.control import dashboard
from fastgw.control.admission import Admission
from fastgw.control.api import AdminApi
from fastgw.control.bodies import Bodies
from fastgw.control.breakers import Breakers
from fastgw.control.changing import Changing
from fastgw.control.collection import Collection
from fastgw.control.config_api import ConfigApi
from fastgw.control.doors import IDLE_TIMEOUT, Doors
from fastgw.control.explain import Explainer
from fastgw.control.exposition import Exposition
from fastgw.control.facts import FactSource
from fastgw.control.files_api import FilesApi
from fastgw.control.fleet import Fleet, Sharing
from fastgw.control.fleet_api import FleetApi
from fastgw.control.gateway_api import GatewayApi
from fastgw.control.health import Check, HealthSteward
from fastgw.control.health_check import check
from fastgw.control.instances import Announce, Instances, StoreStatus, announce
from fastgw.control.jwks import JwksSteward
from fastgw.control.jwks_files import JwksFiles
from fastgw.control.jwks_source import HttpSource
from fastgw.control.live import Live
from fastgw.control.live_api import LiveApi
from fastgw.control.names import HostsFile, SystemNames
from fastgw.control.operator_log import OperatorLog
from fastgw.control.overview import Overview
from fastgw.control.parts_api import PartsApi
from fastgw.control.peers import SUPERVISOR, Peers
from fastgw.control.protocol import AdminProtocol
from fastgw.control.published import History, Published
from fastgw.control.publisher import Publisher
from fastgw.control.readiness import Readiness
from fastgw.control.resolver import Resolve, Resolver
from fastgw.control.scrapes import Scrapes
from fastgw.control.status import Status
from fastgw.control.targets import Targets
from fastgw.control.upstreams import Upstreams
from fastgw.control.upstreams_api import UpstreamsApi
from fastgw.gateway.document.fleet import FleetVersions
from fastgw.gateway.document.limit_store import LimitStore
from fastgw.gateway.document.load import load_parts
from fastgw.gateway.document.model import Document
from fastgw.gateway.document.publish import open_register, open_store
from fastgw.ipc import messages
from fastgw.ipc.channel import Received
from fastgw.ipc.context import ControlContext
from fastgw.ipc.messages import Message
from fastgw.versions.version import VersionStore

# How often readiness looks at the workers; it counts whole seconds.
_TICK = 0.5
# Answers in flight when the supervisor goes away.
_LAST_ANSWERS = 0.5


def main(context: ControlContext[SeriesMemory]) -> int:
    """Runs until the supervisor closes its channel or dies. The exit code."""
    gc.enable()  # the supervisor may have it off around the fork
    # A document that is sent is 300,000 objects and no garbage: 110 ms to read, and up to 200 with the usual 700.
    gc.set_threshold(50_000, 20, 100)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    # No shutdown of the executor: a look-up that hangs must not keep this process alive.
    loop.run_until_complete(_run(context, loop))
    return 0


async def _run(context: ControlContext[SeriesMemory], loop: asyncio.AbstractEventLoop) -> None:
    names = SystemNames(HostsFile())
    try:
        await Control(context, loop, SystemClock(), names.resolve, announce, check, Collection(True)).run()
    finally:
        await names.close()


class Control:
    """Everything that control consists of, wired. `resolve` turns a name into addresses, `announce` tells the store of
    the limits that this gateway lives, `check` asks a target how it is, `collection` says when garbage is looked for."""

    def __init__(
        self,
        context: ControlContext[SeriesMemory],
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        resolve: Resolve,
        announce: Announce,
        check: Check,
        collection: Collection,
    ) -> None:
        self._context = context
        self._clock = clock
        self._log = OperatorLog(context.log_fd)
        self._over = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        document = load_parts(context.parts)
        self._history = History(Published(context.version, document, context.parts))
        slots = [context.series.slot(index) for index in range(context.workers)]
        self._readiness = Readiness(slots, clock, self._refusal)
        self._loop = loop
        self._loop.set_exception_handler(self._on_loop_error)
        self._peers = Peers(
            self._loop,
            self._log,
            self._history,
            (dict(message) for message in (*context.addresses, *context.keys)),
            on_supervisor=self._on_supervisor,
            on_orphaned=self._over.set,
            on_unknown_key=self._on_unknown_key,
            on_breaker=self._on_breaker,
            on_gone=self._on_gone,
            on_live=self._on_live,
        )
        self._live = Live(self._peers.tell_facts, context.workers)
        self._token = document.base.admin.token
        self._log.also = self._live.note
        self._resolver = Resolver(resolve, self._on_addresses, self._log, context.addresses)
        self._targets = Targets()
        for known in context.addresses:
            self._targets.resolved(known)
        tell = self._peers.tell_facts
        self._health = HealthSteward(self._targets, check, tell, self._log, clock, random.random)
        self._breakers = Breakers(tell, self._peers.forget_facts, self._log, clock)
        self._upstreams = Upstreams(
            self._targets, self._health, self._breakers, lambda: sorted(each.index for each in self._peers.workers)
        )
        self._instances = self._make_instances(announce, document)
        store = open_store(document, lambda: self._history.current.document)
        self._http = HttpSource()
        self._jwks = JwksSteward(
            self._http,
            self._peers.tell_facts,
            self._peers.tell,
            self._log,
            clock,
            random.random,
            JwksFiles(document.base.store.directory) if document.base.store.kind == "file" else None,
            context.keys,
        )
        publisher = Publisher(
            context.config_path,
            context.environ,
            store,
            history=self._history,
            peers=self._peers,
            clock=clock,
            log=self._log,
            on_published=self._on_published,
            collection=collection,
        )
        self.publisher = publisher
        self._fleet = self._make_fleet(store, document)
        self.status = Status(
            context.series,
            context.workers,
            self._history,
            publisher,
            clock,
            context.supervisor_pid,
            context.started_at,
            clock.now(),
            context.restarts,
            StoreStatus(self._instances, context.series, context.workers),
            self._upstreams,
        )
        self._facts = FactSource(
            self._history,
            publisher,
            self._readiness,
            clock,
            started_at=context.started_at,
            restarts=context.restarts,
            watchers=lambda: self._live.watchers,
        )
        self._overview = Overview(context.series, context.workers, self._history, clock, self._log)
        self._doors = Doors(clock)
        self._api = self._make_api(store, document)

    async def run(self) -> None:
        self._peers.attach(SUPERVISOR, self._context.supervisor_pid, self._context.supervisor)
        self._follow(self._history.current.document)
        runner = web.AppRunner(self._api.application(), shutdown_timeout=_LAST_ANSWERS)
        await runner.setup()
        web_server = runner.server
        assert web_server is not None  # set up just now
        server = await self._loop.create_server(
            self._doors.guard(lambda: AdminProtocol(web_server, self._loop, self._log, IDLE_TIMEOUT)),
            sock=self._context.admin,
        )
        self._start(self._watch_workers())
        self._start(self._overview.run())
        self._start(self._instances.run())
        self._start(self._fleet.run())
        self._peers.tell_supervisor(messages.ready())
        self._start(self.publisher.catch_up())
        await self._over.wait()
        # The port first: a new instance may start at once.
        server.close()
        self._live.close()
        await runner.cleanup()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._fleet.close()
        await self._resolver.close()
        await self._health.close()
        await self._jwks.close()
        await self._http.close()
        self._peers.close()

    def _on_supervisor(self, received: Received) -> None:
        message = received.message
        if received.type == "worker" and received.fd is not None:
            self._peers.attach(int(message["index"]), int(message["pid"]), socket.socket(fileno=received.fd))
            return
        if received.type == "worker_gone":
            self._peers.detach(int(message["index"]), int(message["pid"]))
        elif received.type == "reload":
            self._start(self._reload())
        elif received.type == "draining":
            self._readiness.draining = True
        if received.fd is not None:
            os.close(received.fd)

    def _on_unknown_key(self, worker: int, source: str) -> None:
        self._jwks.unknown_key(worker, source)

    def _on_breaker(self, worker: int, message: Mapping[str, object]) -> None:
        self._breakers.heard(worker, message)

    def _refusal(self, worker: int, version: int) -> str | None:
        return self._peers.refusal(worker, version)

    def _on_live(self, worker: int, message: Mapping[str, object]) -> None:
        self._live.heard(worker, message)

    def _on_gone(self, worker: int) -> None:
        self._breakers.gone(worker)

    def _make_api(self, store: VersionStore, document: Document) -> AdminApi:
        context, history = self._context, self._history
        changing = Changing(history, self._peers)
        scrapes = Scrapes(Exposition(context.series, context.workers), self._facts.now)
        explainer = Explainer(history, self._clock, self._upstreams, lambda: self._peers.known("keys"))
        parts = (
            GatewayApi(history, self._readiness, scrapes, self.status),
            ConfigApi(history, store, self.publisher, changing),
            PartsApi(history, self.publisher, changing),
            UpstreamsApi(self._upstreams, self.publisher.audit),
            LiveApi(self._live, self._overview, self._doors),
            FleetApi(self._fleet),
            explainer,
        )
        return AdminApi(
            Admission(context.admin, (document.base.admin.address.host,)),
            history,
            tuple(endpoint for part in parts for endpoint in part.endpoints()),
            FilesApi(dashboard.files(), dashboard.SECURITY),
            self._doors,
            Bodies(),
            self.publisher.audit,
            self._log,
        )

    def _make_instances(self, announce: Announce, document: Document) -> Instances:
        context = self._context
        store = LimitStore(context.embedded)
        store.follow(document.base.redis)
        return Instances(
            announce,
            store,
            self._name(document),
            tell=lambda count: self._peers.tell_facts(messages.instances(count)),
            log=self._log,
        )

    def _make_fleet(self, store: VersionStore, document: Document) -> Fleet:
        register = open_register(document)
        return Fleet(
            None if register is None or not isinstance(store, FleetVersions) else Sharing(store, register),
            self.publisher,
            self._history,
            self._name(document),
            applied=self._peers.applied,
            clock=self._clock,
            log=self._log,
            from_store=self._context.version > 0,
        )

    def _name(self, document: Document) -> str:
        """Of this gateway among all: two may have one name, and a process id may come twice in a fleet."""
        return f"{document.base.instance}/{self._context.supervisor_pid}/{self._context.started_at:.6f}"

    def _on_published(self, document: Document) -> None:
        self._facts.published()
        if document.base.admin.token != self._token:
            self._token = document.base.admin.token
            self._live.close()  # who looks on with the old one does not go on with it
        self._follow(document)

    def _follow(self, document: Document) -> None:
        """What is watched outside is what this document names."""
        self._instances.follow(document)
        self._resolver.follow(document)
        self._jwks.follow(document)
        self._targets.follow(document)
        self._watch_targets()

    def _on_addresses(self, message: Message) -> None:
        """A name has other addresses than before: some targets are gone perhaps, others are new."""
        self._peers.tell_facts(message)
        if self._resolver.wants(message):
            self._targets.resolved(message)
            self._watch_targets()

    def _watch_targets(self) -> None:
        upstreams = self._targets.upstreams
        self._health.follow()
        self._breakers.keep({name: self._targets.labels(name) for name, each in upstreams.items() if each.breaker})
        self._peers.forget_facts(self._is_wanted)

    def _is_wanted(self, message: Mapping[str, object]) -> bool:
        match message["type"]:
            case "instances" | "watch":
                return True
            case "keys":
                return self._jwks.wants(message)
            case "health":
                return self._health.wants(message)
            case "force_breaker":
                return self._breakers.wants(message)
            case _:
                return self._resolver.wants(message)

    async def _reload(self) -> None:
        outcome = await self.publisher.reload("signal")
        error = "\n".join(str(problem) for problem in outcome.problems) or "refused"
        # Bounded by the size of a packet; the log and the status have everything.
        self._peers.tell_supervisor(messages.reloaded(outcome.version, None if outcome.ok else error[:8192]))

    async def _watch_workers(self) -> None:
        while True:
            self._readiness.observe(self._history.current.version)
            self._breakers.expire()
            self._doors.sweep()
            await asyncio.sleep(_TICK)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        # The loop itself keeps only weak references to tasks.
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, details: dict[str, Any]) -> None:
        error = details.get("exception")
        self._log.say(f"control: {details.get('message')}: {type(error).__name__}: {error}")
