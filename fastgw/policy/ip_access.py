"""Which addresses may use a route. Not built yet: only its options are here."""

from __future__ import annotations

from fastgw.config.fields import Cidr, List
from fastgw.config.options import Options
from fastgw.policy.mode import ENFORCE, Mode


class IpAccessOptions(Options):
    allow: List[Cidr] = ("0.0.0.0/0", "::/0")
    deny: List[Cidr] = ()
    mode: Mode = ENFORCE
