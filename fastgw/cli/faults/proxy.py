"""A proxy for bytes that fails as told (orders.py), in front of anything.

A turn is what a request is elsewhere: bytes towards the service after bytes from it, or the first ones. Each turn
draws its own fate, and which way it goes: `toward` up (what the service gets) or down (what the client gets).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from fastgw.cli.faults.counts import Deliveries
from fastgw.cli.faults.orders import WAYS, Order
from fastgw.cli.faults.service import Service, end, reset

UP, DOWN = WAYS
OTHER: Final = {UP: DOWN, DOWN: UP}
# Of bytes that wait for their time, as many before their source is no longer read.
MAX_WAITING: Final = 1 << 20


class Proxy(Service):
    REFUSED = "status fail_rate"

    def __init__(self, name: str, host: str, port: int, deliveries: Deliveries, to: tuple[str, int]) -> None:
        self.to = to
        super().__init__(name, host, port, deliveries)

    def connection(self) -> asyncio.Protocol:
        return Pair(self).sides[UP]


class Pair:
    """A client's connection and the one it is passed on by."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        # By the way of the bytes that are read there: the client's side reads what goes up.
        self.sides = {UP: Side(self, UP), DOWN: Side(self, DOWN)}
        self._lanes = {UP: Lane(self, UP), DOWN: Lane(self, DOWN)}
        self._turn = DOWN
        self._fault: Order | None = None
        self._faulty_way = ""
        self._left = 0  # bytes that a cut lets pass
        self._task: asyncio.Task[None] | None = None
        # Until then bytes wait: early Pythons read once although connection_made paused it.
        self._connected = False
        self._frozen = False
        self.over = False

    @property
    def flows(self) -> bool:
        return self._connected and not self._frozen and not self.over

    # --- beginning and end ---

    def made(self, side: Side) -> None:
        if side.way == DOWN:
            self._connected = True
            self.sides[UP].release("connecting")
            self._lanes[UP].pump()
        elif side.transport is not None and self._proxy.accepted(side.transport, self):
            side.hold("connecting")
            self._task = self._proxy.loop.create_task(self._connect())
        else:
            self.over = True

    async def _connect(self) -> None:
        try:
            await self._proxy.loop.create_connection(lambda: self.sides[DOWN], *self._proxy.to)
        except OSError:
            self.end("reset")

    def lost(self, *, broken: bool) -> None:
        """One side is gone, and so is the other in the same manner."""
        self.end("reset" if broken else "close")
        self._proxy.connections.discard(self)

    def end(self, how: str) -> None:
        if self.over:
            return
        self.over = True
        if self._task is not None:
            self._task.cancel()
        for lane in self._lanes.values():
            lane.close()
        for side in self.sides.values():
            if side.transport is not None:
                end(side.transport, how)

    # --- what the service does to it ---

    def hit(self) -> None:
        self.end("reset")

    def freeze(self) -> None:
        self._frozen = True
        for side in self.sides.values():
            side.hold("frozen")

    def thaw(self) -> None:
        if self._frozen:
            self._frozen = False
            for way, side in self.sides.items():
                side.release("frozen")
                self._lanes[way].pump()

    # --- bytes ---

    def came(self, way: str, data: bytes) -> None:
        if way == UP and self._turn == DOWN:
            self._begin()
        elif way == DOWN and self._turn == UP:
            self._proxy.counts.answered += 1
        self._turn = way
        lane = self._lanes[way]
        fault = self._fault
        if fault is None or way != self._faulty_way:
            lane.put(data)
            return
        match fault.mode:
            case "delay":
                lane.put(data, delay=fault.ms / 1000)
            case "drip":
                lane.put(data, interval=fault.interval)
            case "stall":
                pass
            case "cut" if len(data) <= self._left:
                self._left -= len(data)
                lane.put(data)
            case "cut":
                lane.put(data[: self._left])
                self.end(fault.how)
            case "halve":
                lane.put(data[: len(data) // 2])
                self.end(fault.how)
            case "garbage":
                lane.put(self._proxy.script.junk())
                self.end("close")
            case _:
                raise AssertionError(fault.mode)

    def _begin(self) -> None:
        self._proxy.counts.request(self._proxy.loop.time())
        fault = self._fault = self._proxy.draw()
        if fault is not None:
            script = self._proxy.script
            self._faulty_way = script.one_of(WAYS) if fault.toward == "random" else fault.toward
            self._left = script.below(fault.within)

    def no_more(self, way: str) -> None:
        """One side says that it sends no more."""
        fault = self._fault
        if fault is not None and fault.mode == "stall" and self._faulty_way == way and way == DOWN:
            return  # the client learns nothing; that it gives up is what ends this
        if self.sides[OTHER[way]].at_end or (fault is not None and fault.mode == "stall" and way == UP):
            self._lanes[way].put_end(both=True)
        else:
            self._lanes[way].put_end()

    def write(self, way: str, data: bytes) -> None:
        target = self.sides[OTHER[way]].transport
        if target is not None:
            target.write(data)

    def write_end(self, way: str, *, both: bool) -> None:
        target = self.sides[OTHER[way]].transport
        if both or target is None:
            self.end("close")
        elif not target.is_closing():
            target.write_eof()

    def later(self, seconds: float, then: Callable[[], None]) -> asyncio.TimerHandle:
        return self._proxy.loop.call_later(seconds, then)

    def now(self) -> float:
        return self._proxy.loop.time()


class Lane:
    """One way through a pair: bytes in their order, each at its time."""

    def __init__(self, pair: Pair, way: str) -> None:
        self._pair = pair
        self._way = way
        self._waiting: deque[tuple[float, float, bytes]] = (
            deque()
        )  # due, seconds between bytes (0: all at once)
        self._size = 0
        self._end: bool | None = None  # what `both` is, once the end has been put in
        self._timer: asyncio.TimerHandle | None = None

    def put(self, data: bytes, delay: float = 0.0, interval: float = 0.0) -> None:
        if self._pair.flows and not (delay or interval or self._waiting):
            self._pair.write(self._way, data)
            return
        self._waiting.append((self._pair.now() + delay, interval, data))
        self._size += len(data)
        if self._size > MAX_WAITING:
            self._pair.sides[self._way].hold("waiting")
        self.pump()

    def put_end(self, *, both: bool = False) -> None:
        self._end = both
        self.pump()

    def pump(self) -> None:
        """Write what is due, and come back for the rest."""
        if not self._pair.flows:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            due, interval, data = self._waiting[0]
            wait = due - self._pair.now()
            if wait > 0:
                self._timer = self._pair.later(wait, self.pump)
                return
            piece = data[:1] if interval else data
            self._pair.write(self._way, piece)
            self._size -= len(piece)
            if len(data) > len(piece):
                self._waiting[0] = (self._pair.now() + interval, interval, data[1:])
            else:
                self._waiting.popleft()
                if interval and self._waiting:
                    # The first byte of what came later is no sooner than the next of what came before.
                    then, own, rest = self._waiting[0]
                    self._waiting[0] = (max(then, self._pair.now() + interval), own, rest)
        self._pair.sides[self._way].release("waiting")
        if self._end is not None:
            self._pair.write_end(self._way, both=self._end)
            self._end = None

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()


class Side(asyncio.Protocol):
    """One of the two connections; it is read while nothing holds it."""

    def __init__(self, pair: Pair, way: str) -> None:
        self._pair = pair
        self.way = way
        self.transport: asyncio.Transport | None = None
        self.at_end = False
        self._holds: set[str] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self._pair.over:
            reset(transport)
            return
        if self._holds:
            transport.pause_reading()
        self._pair.made(self)

    def data_received(self, data: bytes) -> None:
        if not self._pair.over:
            self._pair.came(self.way, data)

    def eof_received(self) -> bool:
        self.at_end = True
        self._pair.no_more(self.way)
        return True  # closed when the other side has ended too

    def connection_lost(self, exc: Exception | None) -> None:
        self._pair.lost(broken=exc is not None)

    def pause_writing(self) -> None:
        self._other().hold("writing")

    def resume_writing(self) -> None:
        self._other().release("writing")

    def hold(self, why: str) -> None:
        self._holds.add(why)
        if self.transport is not None:
            self.transport.pause_reading()

    def release(self, why: str) -> None:
        if why in self._holds:
            self._holds.discard(why)
            if not self._holds and self.transport is not None:
                self.transport.resume_reading()

    def _other(self) -> Side:
        return self._pair.sides[OTHER[self.way]]
