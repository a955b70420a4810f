"""`/_fault`: what a service is told by HTTP, and what it says of itself.

    GET         the mode and what was met
    PUT, POST   a new order (orders.py); with "reset": true the counts begin again
    DELETE      ok again, and the counts begin again

`/_fault` is the service whose port was asked, `/_fault/NAME` any of the same process, `/_fault` on the control port
all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from fastgw.cli.faults.counts import Deliveries
from fastgw.cli.faults.orders import OrderError, order_of
from fastgw.cli.faults.service import OK, Service

METHODS = ("GET", "PUT", "POST", "DELETE")


class Control:
    """`services` is its owner's, who adds to it."""

    def __init__(self, services: Mapping[str, Service], deliveries: Deliveries) -> None:
        self._services = services
        self._deliveries = deliveries

    def __call__(self, own: str, method: str, behind: str, body: bytes) -> tuple[int, object]:
        name = behind or own
        if name in self._services:
            chosen = [self._services[name]]
        elif behind:
            return 404, {"error": f"there is no {behind!r}: {', '.join(self._services)}"}
        else:
            chosen = list(self._services.values())
        if method not in METHODS:
            return 405, {"error": f"{method} is none of {', '.join(METHODS)}"}
        try:
            if method in ("PUT", "POST"):
                self._tell(chosen, body)
            elif method == "DELETE":
                for each in chosen:
                    each.tell(OK)
                    each.counts.clear()
                self._deliveries.clear()
        except OrderError as error:
            return 422, {"error": str(error)}
        if name in self._services:
            return 200, chosen[0].as_json()
        return 200, {"targets": {each.name: each.as_json() for each in chosen}}

    def _tell(self, chosen: list[Service], body: bytes) -> None:
        try:
            told: Any = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise OrderError(f"the body is no JSON: {error}") from None
        reset = told.pop("reset", False) if isinstance(told, dict) else False
        order = order_of(told)
        for each in chosen:
            each.check(order)
        for each in chosen:
            each.tell(order)
            if reset is True:
                each.counts.clear()
        if reset is True:
            self._deliveries.clear()
