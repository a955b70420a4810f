"""THE ORDER: the life of an exchange, top to bottom (design section 5). Order is position here, and nowhere else.

    1  admit           pipeline.run: the edge has checked framing and sizes; in-flight bounds, then gateway_limits
    2  route           routing.table
    3+ the policies    REQUEST_POLICIES below; each route's chain is that tuple without the absent ones
    8  breaker, balance  upstream.choose, asked by choice.py for every attempt
    9  rewrite         heads.py
    10 forward         attempt.py, retries.py, forward.py
    11 the answer      heads.py: response headers, also over local replies
    12 account         account.ledger, exactly once

A policy is a file in policy/ and a line here. `build(options, route)` returns None where the route does not ask for it,
so that a route without a policy pays nothing for it; `check(exchange, runtime)` returns None (go on), a Reply (refuse)
or WAIT (the pipeline goes on at `resume`).
"""

from __future__ import annotations

from collections.abc import Callable

from fastgw.gateway.document.options import BaseOptions, RouteOptions
from fastgw.model.route import Check
from fastgw.policy import admission, cors, ip_access, limits
from fastgw.policy.auth import policy as auth
from fastgw.policy.auth.options import ApiKeysOptions
from fastgw.policy.limits import Limits

Build = Callable[[RouteOptions, BaseOptions], Check | None]


def _auth(route: RouteOptions, base: BaseOptions) -> auth.AuthPolicy | None:
    return auth.build(route.auth, header=_key_header(base), realm=REALM)


REALM = "fastgw"  # of WWW-Authenticate

REQUEST_POLICIES: tuple[Build, ...] = (
    lambda route, base: admission.build(route),  # 1: the route's own bound
    lambda route, base: ip_access.build(route.ip_access),  # 3
    lambda route, base: cors.build(route.cors),  # 3: before authentication, so that preflights and refusals carry it
    lambda route, base: limits.build_before(route.name, route.limits, _on_error(base), _auth(route, base)),  # 4
    _auth,  # 5: auth, scopes
    lambda route, base: limits.build_after(route.name, route.limits, _on_error(base)),  # 6
    # 7: cache lookup
)


def gateway_limits(base: BaseOptions) -> Limits | None:
    """The limits before routing."""
    return limits.build_before("", base.limits, _on_error(base), None)


def _on_error(base: BaseOptions) -> str:
    return base.limits_defaults.on_error if base.limits_defaults else limits.LimitsDefaultsOptions().on_error


def _key_header(base: BaseOptions) -> str:
    return base.api_keys.header if base.api_keys else ApiKeysOptions().header
