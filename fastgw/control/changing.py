"""What every call that changes the document has in common: its parameters, and the answer about what became of it."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from fastgw.control.answers import (
    FLAG,
    INTEGER,
    WORD,
    found,
    json_answer,
    list_of,
    object_of,
)
from fastgw.control.endpoints import Answer, Call, Schema
from fastgw.control.outcome import Outcome
from fastgw.control.parameters import DRY_RUN, NOTE, WAIT
from fastgw.control.peers import Peers
from fastgw.control.published import History

PARAMETERS = (WAIT, DRY_RUN, NOTE)
NAMES: Schema = list_of(WORD)
CHANGES: Schema = {
    "anyOf": [
        object_of({"added": NAMES, "changed": NAMES, "removed": NAMES, "total": INTEGER}),
        {"type": "null"},
    ]
}
CHANGED: Schema = object_of(
    {
        "version": INTEGER,
        "hash": WORD,
        "changed": FLAG,
        "changes": CHANGES,
        "routes": NAMES,
        "needs_restart": NAMES,
        "dry_run": FLAG,
        "workers": object_of({"serving": INTEGER, "of": INTEGER}),
    }
)

DONE: Answer = found("what is in force now; with `dry_run`, what would change", CHANGED, tagged=True)
LATE: Answer = found("published, but not every worker serves it yet", CHANGED, tagged=True, status=202)
CREATED: Answer = found("as 200, and there was no such part before", CHANGED, tagged=True, status=201)


@dataclass(frozen=True, slots=True)
class Changing:
    history: History
    peers: Peers

    async def answer(
        self, call: Call, outcome: Outcome, *, created: bool = False, patience: float = 0.0
    ) -> web.Response:
        """`patience`: how long the workers are waited for where the caller has not said."""
        dry = bool(call.query.get("dry_run"))
        wait = call.query.get("wait")
        serving, workers = await self.peers.applied(outcome.version, patience if wait is None else wait)
        # Whoever did not ask to wait is not told that it takes time.
        late = bool(wait) and not dry and serving < workers
        body = {
            "version": outcome.version,
            "hash": outcome.hash or self.history.current.hash,
            "changed": outcome.changed,
            "changes": None if outcome.changes is None else outcome.changes.plain(),
            "routes": list(outcome.routes),
            "needs_restart": list(outcome.needs_restart),
            "dry_run": dry,
            "workers": {"serving": serving, "of": workers},
        }
        status = 202 if late else 201 if created and not dry else 200
        return json_answer(body, status, outcome.version)
