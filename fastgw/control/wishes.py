"""Small objects that callers send: each key has a reader, and everything that is wrong is said at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastgw.config.errors import suggestion
from fastgw.control.endpoints import Unacceptable

Reader = Callable[[Any], Any]


def read_wish(body: object, readers: Mapping[str, Reader], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """Readers raise ValueError in words."""
    if not isinstance(body, Mapping):
        message = f"the body is an object with {', '.join(readers)}"
        raise Unacceptable(422, "invalid_request", message[0].upper() + message[1:], (("", message),))
    wrong: list[tuple[str, str]] = []
    values: dict[str, Any] = {}
    for key in body:
        if key not in readers:
            wrong.append((str(key)[:60], f"there is no such key{suggestion(str(key), readers)}"))
    for key, read in readers.items():
        if key not in body:
            if key not in optional:
                wrong.append((key, "this is missing"))
            continue
        try:
            values[key] = read(body[key])
        except ValueError as error:
            wrong.append((key, str(error)))
    if wrong:
        raise Unacceptable(422, "invalid_request", "The body is not right", tuple(wrong))
    return values
