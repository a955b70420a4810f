"""What upstream and proxy have in common: a name, a door, an order that is carried out and ends by itself."""

from __future__ import annotations

import asyncio
import socket
import struct
from abc import ABC, abstractmethod
from typing import Any, Protocol

from fastgw.cli.faults.counts import Counts, Deliveries
from fastgw.cli.faults.door import Door
from fastgw.cli.faults.orders import Order, OrderError, Script, order_of

OK = Order()
# Lingering for no time at all: a close sends a reset.
_NOW = struct.pack("ii", 1, 0)


def reset(transport: asyncio.BaseTransport | None) -> None:
    if isinstance(transport, asyncio.Transport):
        sock = transport.get_extra_info("socket")
        if sock is not None and not transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NOW)
        transport.abort()


def end(transport: asyncio.Transport, how: str) -> None:
    """`close`: in order, after what was written."""
    if how == "reset":
        reset(transport)
    else:
        transport.close()


class Held(Protocol):
    """A connection, as far as its service is concerned."""

    def hit(self) -> None:
        """The host has died: reset it."""

    def freeze(self) -> None:
        """The network is gone: no byte in or out from now on."""

    def thaw(self) -> None: ...


class Service(ABC):
    # Modes that it cannot be told, and why.
    REFUSED: str = ""

    def __init__(self, name: str, host: str, port: int, deliveries: Deliveries) -> None:
        self.door = Door(host, port, self.connection)
        self.name = name or self.label
        self.deliveries = deliveries
        self.script = Script(OK)
        self.loop = asyncio.get_running_loop()
        self.counts = Counts(self.loop.time())
        self.connections: set[Held] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.door.open()

    @property
    def label(self) -> str:
        host, port = self.door.address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @abstractmethod
    def connection(self) -> asyncio.Protocol:
        """One for each client that is let in."""

    def accepted(self, transport: asyncio.Transport, held: Held) -> bool:
        """False: it was refused at once, as some are where `refuse` has a share."""
        self.counts.connections += 1
        if self.script.order.mode == "refuse" and self.script.draw():
            self.counts.faults["refuse"] += 1
            reset(transport)
            return False
        self.connections.add(held)
        return True

    def draw(self, *, check: bool = False) -> Order | None:
        """What is to happen to a request that has just come."""
        order = self.script.order
        if order.mode in ("ok", "refuse") or (check and not order.checks):
            return None
        fault = self.script.draw()
        if fault is not None:
            self.counts.faults[fault.mode] += 1
        return fault

    def tell(self, told: Order | None = None, **keys: Any) -> None:
        """As an Order, or as the keys of its JSON (`seconds` for the key `for`, which is no name in Python)."""
        if told is None:
            if "seconds" in keys:
                keys["for"] = keys.pop("seconds")
            told = order_of(keys)
        self.check(told)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.script = Script(told)
        self.counts.told(self.loop.time())
        if told.mode == "blackhole":
            self.door.blacken()
            for each in self.connections:
                each.freeze()
        else:
            for each in tuple(self.connections):
                each.thaw()
            if told.mode == "refuse" and told.whole:
                self.door.shut()
                for each in tuple(self.connections):
                    each.hit()
            else:
                self.door.open()
        if told.seconds is not None:
            self._timer = self.loop.call_later(told.seconds, self.tell, OK)

    def check(self, order: Order) -> None:
        """Raise OrderError for what this kind of service cannot do."""
        if order.mode in self.REFUSED.split():
            raise OrderError(f"mode: {order.mode} is for upstreams; a proxy knows bytes only")

    def as_json(self) -> dict[str, Any]:
        counts = self.counts.as_json()
        return {
            "target": self.name,
            "address": self.label,
            **self.script.order.as_json(),
            "open": len(self.connections),
            **counts,
            "deliveries": self.deliveries.as_json(),
        }

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.door.close()
        for each in tuple(self.connections):
            each.hit()
