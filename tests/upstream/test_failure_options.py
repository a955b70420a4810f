"""What may be said about failures, and what contradicts itself."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fastgw.config.options import Options
from fastgw.upstream.failure_options import BreakerOptions, HealthOptions, RetriesOptions


def hint_of(model: type[Options], options: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(options)
    (error,) = caught.value.errors()
    return str(error["msg"])


@pytest.mark.parametrize("model", [RetriesOptions, BreakerOptions, HealthOptions])
def test_an_empty_block_takes_what_the_example_shows(model: type[Options]) -> None:
    model.model_validate({})


@pytest.mark.parametrize(
    "options",
    [
        {"when": ["connect", 502, "503"], "attempts": 10, "budget": "0%"},
        {"attempts": 1},
        {"when": ["timeout"]},
    ],
)
def test_retries(options: dict[str, Any]) -> None:
    RetriesOptions.model_validate(options)


def test_conditions_of_a_retry_are_words_and_numbers() -> None:
    assert RetriesOptions.model_validate({"when": ["connect", 502, "503"]}).when == ("connect", "502", "503")


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"attempts": 0}, "from 1 to 10"),
        ({"attempts": 11}, "from 1 to 10"),
        ({"when": ["200"]}, "status from 400 to 599"),
        ({"when": ["sometimes"]}, "connect, reset, timeout"),
        ({"when": ["５02"]}, "connect, reset, timeout"),
        ({"when": []}, "remove retries"),
        ({"when": ["connect", "reset", "connect"]}, "when lists connect twice; remove one"),
        ({"when": [502, "502"]}, "when lists 502 twice; remove one"),
        ({"budget": 0.2}, "percentage"),
    ],
)
def test_retries_are_refused(options: dict[str, Any], hint: str) -> None:
    assert hint in hint_of(RetriesOptions, options)


@pytest.mark.parametrize(
    "options",
    [
        {"open_for": "5s", "max_open_for": "5s"},
        {"statuses": []},
        {"statuses": [400, 429, 599]},
        {"error_rate": "100%"},
        {"error_rate": "0.1%"},
    ],
)
def test_breakers(options: dict[str, Any]) -> None:
    BreakerOptions.model_validate(options)


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"open_for": "61s"}, "max_open_for is shorter than open_for"),
        ({"max_open_for": "4s"}, "a shorter open_for"),
        ({"open_for": "0s"}, "would never refuse"),
        ({"window": "0s"}, "window is 0"),
        ({"error_rate": "0%"}, "which every failure reaches"),
        ({"error_rate": 0.5}, "percentage"),
        ({"failures": 0}, "from 1"),
        ({"probes": 0}, "from 1"),
        ({"successes": 0}, "from 1"),
        ({"min_requests": 0}, "from 1"),
        ({"statuses": [200]}, "from 400 to 599"),
        ({"statuses": [399]}, "from 400 to 599"),
        ({"statuses": [502, 503, 502]}, "statuses lists 502 twice"),
    ],
)
def test_breakers_are_refused(options: dict[str, Any], hint: str) -> None:
    assert hint in hint_of(BreakerOptions, options)


@pytest.mark.parametrize(
    "options",
    [
        {"interval": "1s", "timeout": "1s"},
        {"interval": "100ms", "timeout": "50ms"},
        {"statuses": [200, 204, 401, 599]},
    ],
)
def test_health_checks(options: dict[str, Any]) -> None:
    HealthOptions.model_validate(options)


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"path": "x"}, "leading slash"),
        ({"interval": "99ms", "timeout": "10ms"}, "below 100ms"),
        ({"interval": "0s"}, "below 100ms"),
        ({"timeout": "0s"}, "timeout is 0"),
        ({"timeout": "3s"}, "a longer interval"),
        ({"interval": "500ms"}, "timeout is longer than interval"),
        ({"statuses": []}, "statuses is empty"),
        ({"statuses": [101]}, "from 200 to 599"),
        ({"statuses": [600]}, "from 200 to 599"),
        ({"statuses": [200, 200]}, "statuses lists 200 twice"),
        ({"healthy_after": 0}, "from 1"),
        ({"unhealthy_after": 0}, "from 1"),
    ],
)
def test_health_checks_are_refused(options: dict[str, Any], hint: str) -> None:
    assert hint in hint_of(HealthOptions, options)
