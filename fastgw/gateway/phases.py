"""THE ORDER: the life of an exchange, top to bottom (design section 5). Order is position here, and nowhere else.

    1  admit           pipeline.run: the edge has checked framing and sizes; in-flight bounds, then gateway-wide limits
    2  route           routing.table
    3+ the policies    REQUEST_POLICIES below; each route's chain is that tuple without the absent ones
    8  balance         upstream.balance, in forward.py
    9  rewrite         heads.py
    10 forward         forward.py
    11 the answer      heads.py: response headers, also over local replies
    12 account         account.ledger, exactly once

A policy is a file in policy/ and a line here. `build(options, route)` returns None where the route does not ask for it,
so that a route without a policy pays nothing for it; `check(exchange)` returns None (go on) or a Reply (refuse).
"""

from __future__ import annotations

from collections.abc import Callable

from fastgw.gateway.document.options import RouteOptions
from fastgw.model.route import Check, Route
from fastgw.policy import admission

Build = Callable[[RouteOptions, Route], Check | None]

REQUEST_POLICIES: tuple[Build, ...] = (
    admission.build,  # 1: the route's own bound
    # 3: ip_access, cors
    # 4: limits keyed by address or header
    # 5: auth, scopes
    # 6: limits keyed by consumer or claim
    # 7: cache lookup
    # 8: breaker
)
