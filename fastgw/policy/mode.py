"""Every policy can run as a shadow: it decides, counts and logs what it would have refused, and never refuses."""

from __future__ import annotations

from typing import Annotated, Final

from fastgw.config.fields import one_of

ENFORCE: Final = "enforce"
SHADOW: Final = "shadow"

Mode = Annotated[str, *one_of(ENFORCE, SHADOW)]
