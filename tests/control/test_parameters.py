"""Each parameter reads what its schema allows, and nothing else."""

import re
from typing import Any

import pytest

from fastgw.control import parameters
from fastgw.control.endpoints import Query
from fastgw.control.parameters import DRY_RUN, LIMIT, NOTE, VERSION, WAIT

ACCEPTED: list[tuple[Query, str, Any]] = [
    (VERSION, "0", 0), (VERSION, "7", 7), (VERSION, "9" * 18, 10**18 - 1),
    (LIMIT, "1", 1), (LIMIT, "1000", 1000),
    (WAIT, "0s", 0.0), (WAIT, "250ms", 0.25), (WAIT, "60s", 60.0), (WAIT, "1m", 60.0),
    (DRY_RUN, "true", True), (DRY_RUN, "false", False),
    (NOTE, "", ""), (NOTE, "für den Laden", "für den Laden"), (NOTE, "x" * 500, "x" * 500),
]  # fmt: skip
REFUSED: list[tuple[Query, str]] = [
    *((VERSION, text) for text in ("", "-1", "+1", "1.0", "x", "٣", "1\n", " 1", "9" * 19, "9" * 5000)),
    *((LIMIT, text) for text in ("", "0", "1001", "-1", "x", "9" * 5000)),
    *((WAIT, text) for text in ("", "5", "s", "-1s", "61s", "2m", "1e3s", "9" * 20 + "s", "1s\n", "٣s")),
    *((DRY_RUN, text) for text in ("", "1", "True", "yes", "on", "true ")),
    *((NOTE, text) for text in ("x" * 501, "a\nb", "a\0b", "\x1b[31m", "\ud800", "a\u2028b")),
]


@pytest.mark.parametrize(("query", "text", "value"), ACCEPTED)
def test_accepted(query: Query, text: str, value: Any) -> None:
    assert query.read(text) == value
    if "pattern" in query.schema:
        assert re.search(query.schema["pattern"], text)


@pytest.mark.parametrize(("query", "text"), REFUSED)
def test_refused(query: Query, text: str) -> None:
    with pytest.raises(ValueError) as caught:
        query.read(text)
    assert len(str(caught.value)) > 10  # words, not only a no


def test_every_parameter_is_tried() -> None:
    known = {each.name for each in vars(parameters).values() if isinstance(each, Query)}
    assert known == {query.name for query, *_ in ACCEPTED} == {query.name for query, _ in REFUSED}
