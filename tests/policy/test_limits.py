from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fastgw.config.quantities import Rate
from fastgw.policy.limits import LimitOptions, LimitsDefaultsOptions

LIMIT = {"name": "a", "key": "client_ip", "rate": "10/s", "burst": 10}


@pytest.mark.parametrize(
    "key", ["client_ip", "consumer", "route", "claim:sub", "claim:https://x/y", "header:x-key"]
)
def test_keys(key: str) -> None:
    assert LimitOptions.model_validate({**LIMIT, "key": key}).key == key


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        *(
            ({"key": key}, "write client_ip, consumer")
            for key in ("ip", "", "claim:", "header:", "header:a b", None)
        ),
        ({"rate": "0/s"}, "above zero"),
        ({"burst": 0}, "from 1"),
        ({"lease": "on"}, "write auto or off"),
        ({"on_error": "fail"}, "local, allow or deny"),
        ({"mode": "log"}, "enforce or shadow"),
        ({"tiers": {"gold": "many"}}, "100/s"),
    ],
)
def test_refused(options: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        LimitOptions.model_validate({**LIMIT, **options})
    assert hint in caught.value.errors()[0]["msg"]


def test_tiers_and_defaults() -> None:
    limit = LimitOptions.model_validate({**LIMIT, "tiers": {"gold": "100/m"}})
    assert limit.tiers == {"gold": Rate(100.0, 60.0)}
    assert limit.on_error is None
    assert LimitsDefaultsOptions().on_error == "local"
