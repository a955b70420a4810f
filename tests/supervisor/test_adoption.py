"""Who accepts for whom."""

from __future__ import annotations

from fastgw.supervisor.adoption import Standing, assign

SERVING, COMING, LOST = Standing.SERVING, Standing.COMING, Standing.LOST


def test_nobody_is_needed_where_all_serve():
    assert assign([SERVING, SERVING], [0, 0]) == [0, 0]


def test_a_lost_one_gets_a_sibling_and_loses_it_again():
    assert assign([LOST, SERVING], [0, 0]) == [2, 0]
    assert assign([COMING, SERVING], [2, 0]) == [0, 0]


def test_the_load_is_spread():
    assert assign([LOST, LOST, SERVING, SERVING], [0, 0, 0, 0]) == [3, 4, 0, 0]


def test_an_adopter_is_kept_while_it_serves():
    assert assign([LOST, SERVING, SERVING], [3, 0, 0]) == [3, 0, 0]
    assert assign([LOST, SERVING, LOST], [3, 0, 0]) == [2, 0, 2]


def test_nobody_can_adopt_where_nobody_serves():
    assert assign([LOST, LOST], [0, 0]) == [0, 0]
    assert assign([LOST], [0]) == [0]
    assert assign([LOST, COMING], [2, 0]) == [0, 0]
