"""One connection of the admin address, as the web server sees it: what cannot even be read is refused in our own words,
and is no reason to fill the log.
"""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web
from aiohttp.web_request import BaseRequest

from fastgw.control.operator_log import OperatorLog
from fastgw.control.problems import problem

# On every answer: nobody sniffs it, and it does not say which library made it.
FIELDS: Final = {"Server": "fastgw", "X-Content-Type-Options": "nosniff"}
UNCACHED: Final = "no-store"


class AdminProtocol(web.RequestHandler):
    __slots__ = ("_operator_log",)

    def __init__(
        self, server: web.Server, loop: asyncio.AbstractEventLoop, log: OperatorLog, keepalive_timeout: float
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # there is none, as AppRunner may say too
            keepalive_timeout=keepalive_timeout,
        )
        self._operator_log = log

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What the parser refuses; what a handler raises never comes here (api.py)."""
        if request.writer.output_size > 0 or isinstance(exc, ConnectionError):
            raise ConnectionError("an answer has begun, or there is nobody to take one")
        if status >= 500:
            self._operator_log.say(f"control: a request of the admin API failed: {type(exc).__name__}: {exc}")
            answer = problem(500, "internal_error", "The gateway's log has the details")
        else:
            answer = problem(status, "bad_request", "The request is malformed")
        answer.headers.update({**FIELDS, "Cache-Control": UNCACHED})
        answer.force_close()
        return answer
