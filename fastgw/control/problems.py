"""Errors of the admin API as application/problem+json (RFC 9457). No internals: those go to the log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus

import orjson
from aiohttp import web

from fastgw.config.errors import Problem


def problem(
    status: int,
    reason: str,
    detail: str,
    *,
    fields: Mapping[str, str] | None = None,
    **more: object,
) -> web.Response:
    """`more` becomes members of the document, `errors` for instance."""
    body = {
        "type": f"urn:fastgw:reason:{reason}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "reason": reason,
        **more,
    }
    return web.Response(
        status=status,
        body=orjson.dumps(body),
        content_type="application/problem+json",
        headers=fields,
    )


def errors(problems: Iterable[Problem], located: bool = False) -> list[dict[str, object]]:
    """`located`: of a file, so that its name and the line are told."""
    return [
        {"path": each.path, "message": each.message, **({"file": each.file, "line": each.line} if located else {})}
        for each in problems
    ]
