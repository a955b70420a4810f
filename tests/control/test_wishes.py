from typing import Any

import pytest

from fastgw.control.endpoints import Unacceptable
from fastgw.control.wishes import read_wish


def small(value: Any) -> int:
    if type(value) is not int or value > 9:
        raise ValueError("write a digit")
    return value


READERS = {"one": small, "two": small}


def test_what_is_right_is_read() -> None:
    assert read_wish({"one": 1}, READERS, optional=("two",)) == {"one": 1}
    assert read_wish({"two": 2, "one": 1}, READERS) == {"one": 1, "two": 2}


@pytest.mark.parametrize("body", [None, [], "x", 5, [{}]])
def test_what_is_no_object_is_told_what_belongs_there(body: Any) -> None:
    with pytest.raises(Unacceptable) as caught:
        read_wish(body, READERS)
    assert (caught.value.status, caught.value.errors[0][0]) == (422, "")
    assert "one, two" in caught.value.detail


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(Unacceptable) as caught:
        read_wish({"one": 10, "tow": 1}, READERS)
    assert [path for path, _ in caught.value.errors] == ["tow", "one", "two"]
    assert 'did you mean "two"' in caught.value.errors[0][1]
