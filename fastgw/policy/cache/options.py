"""What an operator can say about kept answers (design section 10). Not built yet."""

from __future__ import annotations

from typing import Annotated

from pydantic import model_validator

from fastgw.config.fields import Duration, FieldName, Flag, List, Method, Size, Text, integer
from fastgw.config.options import Options, written, wrong
from fastgw.config.quantities import parse_duration, parse_size


class QueryOptions(Options):
    """Which parameters make another answer."""

    sort: Flag = False
    drop: List[Text] = ()
    keep: List[Text] = ()

    @model_validator(mode="after")
    def _one_or_the_other(self) -> QueryOptions:
        if self.drop and self.keep:
            raise wrong("drop and keep exclude each other; write one of them")
        return self


class CacheOptions(Options):
    ttl: Duration = written("30s", parse_duration, "only where the upstream gives no freshness")
    methods: List[Method] = ("GET", "HEAD")
    statuses: List[Annotated[int, *integer(200, 599)]] = (200, 301, 404)
    max_object: Size = written("1MB", parse_size)
    query: QueryOptions | None = None
    vary: List[FieldName] = ()
    per_consumer: Flag = False
    stale_while_revalidate: Duration = written("10s", parse_duration)
    stale_if_error: Duration = written("5m", parse_duration)
    lock_timeout: Duration = written("5s", parse_duration)


class CacheMemoryOptions(Options):
    memory: Size = written("64MB", parse_size, "per worker")
