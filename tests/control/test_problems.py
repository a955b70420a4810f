import orjson
import pytest

from fastgw.control.problems import problem


def test_a_problem_has_the_members_of_rfc_9457_and_its_reason() -> None:
    answer = problem(405, "method_not_allowed", "This path knows GET", fields={"Allow": "GET"}, more=[1])
    assert (answer.status, answer.content_type) == (405, "application/problem+json")
    assert answer.headers["Allow"] == "GET"
    assert isinstance(answer.body, bytes)
    assert orjson.loads(answer.body) == {
        "type": "urn:fastgw:reason:method_not_allowed",
        "title": "Method Not Allowed",
        "status": 405,
        "detail": "This path knows GET",
        "reason": "method_not_allowed",
        "more": [1],
    }


def test_an_unknown_status_is_refused() -> None:
    with pytest.raises(ValueError):
        problem(999, "x", "y")
