from __future__ import annotations

from fastgw.policy.ip_access import IpAccessOptions
from fastgw.policy.mode import ENFORCE, SHADOW


def test_a_policy_enforces_unless_it_is_told_to_watch() -> None:
    assert IpAccessOptions().mode == ENFORCE
    assert IpAccessOptions.model_validate({"mode": "shadow"}).mode == SHADOW
