"""What pydantic finds wrong, in our own words, with a suggestion where a key is unknown.

A finding has a path and no line: the document may come from a file, the store or the admin API.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from fastgw.config.errors import kind_of, suggestion
from fastgw.config.options import OWN_WORDS
from fastgw.config.paths import Path


@dataclass(frozen=True, slots=True)
class Finding:
    path: Path
    message: str


def findings(error: ValidationError, model: type[BaseModel], prefix: Path) -> Iterator[Finding]:
    """`model` is the model of the whole document, `prefix` the place of what was validated."""
    for item in error.errors(include_url=False):
        path = (*prefix, *(step for step in item["loc"] if step != "[key]"))
        yield _finding(item["type"], path, item.get("ctx", {}), item["input"], model)


def _finding(
    kind: str, path: Path, context: dict[str, Any], value: object, model: type[BaseModel]
) -> Finding:
    if kind == OWN_WORDS:
        return Finding(path, context["message"])
    if kind == "extra_forbidden":
        return unknown_key(path, model)
    if kind == "missing":
        inner = model_at(model, path)
        return Finding(path, f"{path[-1]} is missing; write {path[-1]}: {'{...}' if inner else '...'}")
    if kind in ("model_type", "model_attributes_type", "dict_type", "mapping_type"):
        inner = model_at(model, path)
        keys = f" with {', '.join(keys_of(inner))}" if inner else ""
        return Finding(path, f"{kind_of(value)} is not a mapping; write `key: value` lines{keys}")
    if kind in ("tuple_type", "list_type"):
        return Finding(path, f"{kind_of(value)} is not a list; write [...] or one `- ` entry a line")
    return Finding(path, "this is not right here; see `fastgw schema` for what can stand here")


def unknown_key(path: Path, model: type[BaseModel]) -> Finding:
    inner = model_at(model, path[:-1])
    known = keys_of(inner) if inner else []
    return Finding(path, f"unknown key{suggestion(str(path[-1]), known)}")


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys as an operator writes them."""
    return [field.alias or name for name, field in model.model_fields.items()]


def model_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """The model of the block at `path`, if it is one."""
    annotation: Any = model
    for step in path:
        annotation = _inside(annotation, step)
        if annotation is None:
            return None
    return _model(annotation)


def _inside(annotation: Any, step: str | int) -> Any:
    model = _model(annotation)
    if model is not None:
        for name, field in model.model_fields.items():
            if (field.alias or name) == step:
                return field.annotation
        return None
    for choice in _choices(annotation):
        origin, arguments = typing.get_origin(choice), typing.get_args(choice)
        if origin is tuple and isinstance(step, int):
            return arguments[0]
        if origin is dict:
            return arguments[1]
    return None


def _model(annotation: Any) -> type[BaseModel] | None:
    for choice in _choices(annotation):
        if isinstance(choice, type) and issubclass(choice, BaseModel):
            return choice
    return None


def _choices(annotation: Any) -> list[Any]:
    """What an annotation may be, without `Annotated` and without None."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _choices(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [choice for argument in typing.get_args(annotation) for choice in _choices(argument)]
    return [annotation]
