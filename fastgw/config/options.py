"""The base class of all Options, and how a default is written down once for the code and for the schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

T = TypeVar("T")

OWN_WORDS = "fastgw"  # the type of errors whose message is already in our own words


class Options(BaseModel):
    """One block of the configuration: frozen, strict, no unknown keys. Its dicts and lists are never changed."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", populate_by_name=False, hide_input_in_errors=True
    )


def wrong(message: str) -> PydanticCustomError:
    """An error that says `message` as it is. (Braces would be taken for a template's.)"""
    return PydanticCustomError(OWN_WORDS, "{message}", {"message": message})


def written(text: str, parse: Callable[[str], T], description: str = "") -> Any:
    """The default of a field whose value is written as text: typed for the code, as written for the schema."""
    return Field(default=parse(text), description=description or None, json_schema_extra={"default": text})


def without_empty(value: Any, keys: tuple[str, ...]) -> Any:
    """A mapping without those of `keys` that hold nothing: `drain:` with every line below it commented out is the
    same as no `drain`."""
    if type(value) is dict and any(key in value and value[key] is None for key in keys):
        return {key: item for key, item in value.items() if item is not None or key not in keys}
    return value
