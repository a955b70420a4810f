"""Several faulty services in one process and one loop: what tests hold in hand and `python -m` serves."""

from __future__ import annotations

from typing import Any, Self, TypeVar

from fastgw.cli.faults.control import Control
from fastgw.cli.faults.counts import Deliveries
from fastgw.cli.faults.proxy import Proxy
from fastgw.cli.faults.service import Service
from fastgw.cli.faults.upstream import Upstream

S = TypeVar("S", bound=Service)


class Faults:
    """Made inside a running loop. `async with Faults() as faults: target = faults.upstream("a"); target.tell(...)`."""

    def __init__(self) -> None:
        self.services: dict[str, Service] = {}
        self.deliveries = Deliveries()
        self._control = Control(self.services, self.deliveries)
        self._ports: list[Service] = []

    def upstream(self, name: str = "", host: str = "127.0.0.1", port: int = 0) -> Upstream:
        return self._added(Upstream(name, host, port, self.deliveries, self._control))

    def proxy(
        self, to: Service | tuple[str, int], name: str = "", host: str = "127.0.0.1", port: int = 0
    ) -> Proxy:
        """In front of one of ours, or of any address."""
        address = to.door.address if isinstance(to, Service) else to
        return self._added(Proxy(name, host, port, self.deliveries, address))

    def control(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """A port that only answers `/_fault`, of all services; its address."""
        # Not among the services, so nothing they are told reaches it.
        service = Upstream("", host, port, Deliveries(), self._control)
        self._ports.append(service)
        return service.label

    def _added(self, service: S) -> S:
        if service.name in self.services:
            service.close()
            raise ValueError(f"two are named {service.name}")
        self.services[service.name] = service
        return service

    def as_json(self) -> dict[str, Any]:
        return {name: service.label for name, service in self.services.items()}

    def close(self) -> None:
        for each in (*self.services.values(), *self._ports):
            each.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
