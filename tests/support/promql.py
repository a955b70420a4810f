"""What a PromQL expression says about the metrics of fastgw, by their families: whether each name and label exists,
whether rates are taken of what counts up, and which labels the result has.

Knows as much of the language as the files in deploy/ use; what it does not know, it refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import promql_parser as promql

from fastgw.account.families import FAMILIES, GATEWAY_FAMILIES, WORKER_FAMILIES, Kind

# Prometheus itself adds these to what it scrapes.
TARGET = frozenset({"job", "instance"})
RATES = frozenset({"rate", "increase"})
KEEP_LABELS = frozenset({"changes", "clamp_min", "clamp_max"})


class Wrong(Exception):
    """What is wrong with an expression."""


@dataclass(frozen=True)
class Sample:
    labels: frozenset[str]
    counts: bool  # up, that is


def _samples() -> Mapping[str, Sample]:
    found = {}
    for family in FAMILIES + WORKER_FAMILIES + GATEWAY_FAMILIES:
        labels = frozenset(family.labels) | TARGET
        if family.kind is Kind.HISTOGRAM:
            found[f"{family.name}_bucket"] = Sample(labels | {"le"}, True)
            found[f"{family.name}_count"] = found[f"{family.name}_sum"] = Sample(labels, True)
        else:
            found[family.name] = Sample(labels, family.kind is Kind.COUNTER)
    return found


SAMPLES = _samples()


@dataclass(frozen=True)
class Read:
    """`labels`: of the result, None for a number; `names`: the samples that are read."""

    labels: frozenset[str] | None
    names: frozenset[str]


def read(text: str) -> Read:
    """Raises Wrong."""
    try:
        tree = promql.parse(text)
    except ValueError as error:
        raise Wrong(str(error)) from None
    names: set[str] = set()
    return Read(_labels(tree, names), frozenset(names))


def _labels(node: Any, names: set[str]) -> frozenset[str] | None:
    match node:
        case promql.VectorSelector():
            return _selected(node, names).labels
        case promql.MatrixSelector():
            return _selected(node.vector_selector, names).labels
        case promql.NumberLiteral():
            return None
        case promql.ParenExpr():
            return _labels(node.expr, names)
        case promql.AggregateExpr():
            return _aggregated(node, names)
        case promql.Call():
            return _called(node, names)
        case promql.BinaryExpr():
            return _joined(node, names)
        case _:
            raise Wrong(f"{type(node).__name__} is not known here")


def _selected(selector: promql.VectorSelector, names: set[str]) -> Sample:
    sample = SAMPLES.get(selector.name or "")
    if sample is None:
        raise Wrong(f"there is no metric {selector.name}")
    for matcher in selector.matchers.matchers:
        if matcher.name not in sample.labels:
            raise Wrong(f"{selector.name} has no label {matcher.name}")
    names.add(selector.name or "")
    return sample


def _aggregated(node: promql.AggregateExpr, names: set[str]) -> frozenset[str]:
    inner = _labels(node.expr, names)
    assert inner is not None  # the parser has seen to it
    if str(node.op) in ("topk", "bottomk"):
        return inner
    if node.modifier is None:
        return frozenset()
    if node.modifier.type != promql.AggModifierType.By:
        raise Wrong("`without` is not known here: new labels would come through")
    if missing := frozenset(node.modifier.labels) - inner:
        raise Wrong(f"nothing to group by: {', '.join(sorted(missing))}")
    return frozenset(node.modifier.labels)


def _called(node: promql.Call, names: set[str]) -> frozenset[str] | None:
    name = node.func.name
    if name == "time":
        return None
    if name == "histogram_quantile":
        inner = _labels(node.args[1], names)
        if inner is None or "le" not in inner:
            raise Wrong("a quantile of what has no `le`")
        return inner - {"le"}
    if name in RATES:
        if not _selected(node.args[0].vector_selector, names).counts:
            raise Wrong(f"{name} of {node.args[0].vector_selector.name}, which does not only count up")
    elif name not in KEEP_LABELS:
        raise Wrong(f"the function {name} is not known here")
    return _labels(node.args[0], names)


def _joined(node: promql.BinaryExpr, names: set[str]) -> frozenset[str] | None:
    left, right = _labels(node.lhs, names), _labels(node.rhs, names)
    if left is None or right is None:
        return right if left is None else left
    modifier = node.modifier
    if modifier is None or modifier.matching is None:
        if left != right:
            raise Wrong(f"the sides have different labels: {sorted(left)} and {sorted(right)}")
        return left
    if modifier.matching.type != promql.LabelModifierType.Include:
        raise Wrong("`ignoring` is not known here: new labels would not match")
    on = frozenset(modifier.matching.labels)
    if missing := on - (left & right):
        raise Wrong(f"not on both sides: {', '.join(sorted(missing))}")
    many = modifier.card == promql.VectorMatchCardinality.ManyToOne
    if not many and str(node.op) not in ("and", "unless") and left - on:
        raise Wrong(f"the left side has more labels than `on`: {', '.join(sorted(left - on))}")
    if right - on and str(node.op) not in ("and", "unless"):
        raise Wrong(f"the right side has more labels than `on`: {', '.join(sorted(right - on))}")
    return left
