from __future__ import annotations

import pytest
from pydantic import ValidationError

from fastgw.policy.cors import CorsOptions


def test_credentials_are_not_for_everybody() -> None:
    assert CorsOptions.model_validate({"origins": ["https://x"], "credentials": True}).credentials
    with pytest.raises(ValidationError, match="list the origins"):
        CorsOptions.model_validate({"origins": ["*"], "credentials": True})
