from __future__ import annotations

import pytest
from pydantic import ValidationError

from fastgw.policy.ip_access import IpAccessOptions


def test_networks() -> None:
    options = IpAccessOptions.model_validate({"deny": ["192.0.2.0/24"]})
    assert (options.allow, options.deny, options.mode) == (
        ("0.0.0.0/0", "::/0"),
        ("192.0.2.0/24",),
        "enforce",
    )
    with pytest.raises(ValidationError, match=r"write 192\.0\.2\.0/24"):
        IpAccessOptions.model_validate({"deny": ["192.0.2.1/24"]})
    with pytest.raises(ValidationError, match="write enforce or shadow"):
        IpAccessOptions.model_validate({"mode": "off"})
