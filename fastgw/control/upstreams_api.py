"""The calls about what upstreams are now: their targets and breakers, and a breaker forced by an operator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from fastgw.control.answers import ANY_OBJECT, INTEGER, WORD, found, json_answer, list_of, object_of, or_null
from fastgw.control.audit import ACCEPTED, REFUSED, Audit
from fastgw.control.endpoints import Body, Call, Endpoint, Schema
from fastgw.control.problems import problem
from fastgw.control.upstreams import STATES, Refused, Upstreams

_UPSTREAM: Schema = object_of({"name": WORD, "balance": WORD, "targets": list_of(ANY_OBJECT)}, open_=True)
_WISH: Schema = object_of(
    {
        "state": {"enum": list(STATES)},
        "for": {"type": "string", "description": "how long, from 1s to 24h", "examples": ["30s"]},
        "target": {"type": "string", "description": "a target's label; without it the upstream itself is meant"},
    },
    optional=("for", "target"),
)
_FORCED: Schema = object_of(
    {"upstream": WORD, "target": or_null("string"), "state": WORD, "until": or_null("number"), "workers": INTEGER}
)


@dataclass(frozen=True, slots=True)
class UpstreamsApi:
    upstreams: Upstreams
    audit: Audit

    def endpoints(self) -> tuple[Endpoint, ...]:
        return (
            Endpoint(
                "GET", "/api/upstreams", self._all, "Upstreams as they are: targets, health, breakers of each worker.",
                (found("all of them", object_of({"upstreams": list_of(_UPSTREAM)})),), group="upstreams",
            ),
            Endpoint(
                "POST", "/api/upstreams/{name}/breaker", self._breaker, "Force a breaker for a time, or let it be.",
                (found("what is forced now", _FORCED),), (), Body(_WISH), refusals=(404, 409), group="upstreams",
                changes=True,
            ),
        )  # fmt: skip

    async def _all(self, call: Call) -> web.Response:
        return json_answer(self.upstreams.plain())

    async def _breaker(self, call: Call) -> web.Response:
        outcome = self.upstreams.force(call.name, call.body, call.by)
        what = f"force breaker {call.name[:64]}"
        if isinstance(outcome, Refused):
            self.audit.note(what, call.by, REFUSED, reason=outcome.detail)
            wrong: dict[str, Any] = {"errors": [{"path": "", "message": outcome.detail}]} if outcome.status == 422 else {}
            return problem(outcome.status, outcome.reason, outcome.detail, **wrong)
        done = (what, outcome["target"], outcome["state"])
        self.audit.note(" ".join(str(each) for each in done if each), call.by, ACCEPTED)
        return json_answer(outcome)
