"""Do all sides give the client what the upstream gives?

Asked before and after the load; a difference voids the run.
"""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import VoidError
from bench.load import traffic
from bench.world import Instance


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    content_type: str | None
    date: bool
    trace: str | None

    @property
    def same(self) -> tuple[int, bytes, str | None, bool, bool]:
        """What must be equal on all sides: everything but the values that are unique on purpose."""
        return self.status, self.body, self.content_type, self.date, self.trace is not None


def fetch(port: int, paths: Sequence[str], bearer: Callable[[int], str] = traffic.credential) -> list[Answer]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    answers = []
    for index, path in enumerate(paths):
        connection.request("GET", path, headers=dict(traffic.headers(index, bearer)))
        response = connection.getresponse()
        fields = response.headers
        answers.append(
            Answer(
                response.status,
                response.read(),
                fields["Content-Type"],
                fields["Date"] is not None,
                fields["X-Trace"],
            )
        )
    connection.close()
    return answers


def same_answers(
    upstream_port: int,
    instances: Sequence[Instance],
    paths: Sequence[str],
    bearer: Callable[[int], str] = traffic.credential,
) -> None:
    wanted = fetch(upstream_port, paths)
    for path, answer in zip(paths, wanted, strict=True):
        if answer.status != 200 or not answer.date:
            raise VoidError(f"the upstream itself answers {path} with {answer.status}, Date: {answer.date}")
    for instance in instances:
        found = fetch(instance.port, paths, bearer)
        for path, want, got in zip(paths, wanted, found, strict=True):
            if want.same != got.same:
                raise VoidError(
                    f"{instance.label} answers {path} with {got.same}, the upstream with {want.same}"
                )
        traces = [answer.trace for answer in found if answer.trace]
        if len(set(traces)) != len(traces):
            raise VoidError(
                f"{instance.label} repeats a header of the upstream that is unique in every answer"
            )


def refused(instance: Instance, paths: Sequence[str], bearer: Callable[[int], str], status: int) -> None:
    """All of the second half, but for a token that came back meanwhile: the first may be what buckets hold."""
    found = [answer.status for answer in fetch(instance.port, paths, bearer)]
    late = found[len(found) // 2 :]
    if set(found) - {200, status} or late.count(status) < 0.9 * len(late):
        raise VoidError(f"{instance.label} answers {sorted(set(found))} where {status} was to be seen")


def same_upload(instances: Sequence[Instance], path: str, file: Path) -> None:
    data = file.read_bytes()
    wanted = hashlib.sha256(data).hexdigest()
    for instance in instances:
        connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=60)
        connection.request("POST", f"{path}?digest", data, dict(traffic.headers(0)))
        response = connection.getresponse()
        body = response.read()
        connection.close()
        if response.status != 200 or json.loads(body)["sha256"] != wanted:
            raise VoidError(
                f"{instance.label} changed a body of {len(data)} bytes on its way up: {body[:120]!r}"
            )
