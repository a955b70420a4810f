from __future__ import annotations

import pickle

import pytest

from fastgw.config.errors import MAX_SHOWN, ConfigError, Problem, shown, suggestion


def test_a_problem_names_its_place() -> None:
    assert str(Problem("f.yaml", 3, "a.b", "is wrong")) == "f.yaml:3: a.b: is wrong"
    assert str(Problem("f.yaml", 3, "", "is wrong")) == "f.yaml:3: is wrong"
    assert str(Problem("f.yaml", 0, "", "is wrong")) == "f.yaml: is wrong"


def test_all_problems_in_order_of_lines() -> None:
    error = ConfigError([Problem("f", 3, "b", "x"), Problem("f", 1, "a", "y")])
    assert str(error) == "f:1: a: y\nf:3: b: x"
    # It travels between processes.
    assert pickle.loads(pickle.dumps(error)).problems == error.problems


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (None, "nothing"),
        (3, "3"),
        ("x", '"x"'),
        ("a\nb", '"a\\x0ab"'),
        ({}, "a mapping"),
        ([], "a list"),
    ],
)
def test_shown(value: object, text: str) -> None:
    assert shown(value) == text


def test_long_values_are_cut() -> None:
    assert len(shown("x" * 10_000)) == MAX_SHOWN + 3
    assert len(shown(10**100)) == MAX_SHOWN + 3


def test_suggestions() -> None:
    assert suggestion("adress", ["address", "tls"]) == '; did you mean "address"?'
    assert suggestion("zzz", ["address", "tls"]) == "; there is: address, tls"
    assert suggestion("zzz", []) == ""
    assert suggestion("zzz", [f"n{i}" for i in range(100)]) == ""
