"""The one table of outcomes is whole, and says what design section 12 says."""

from __future__ import annotations

import re

import pytest

from fastgw.errors import PROXY_ERROR, RETRY_AFTER, STATUS, TITLES, HttpError, Reason, Retry, Source

# Design section 12, the part of it that is built.
TABLE = {
    400: {"bad_framing", "bad_request"},
    408: {"header_timeout", "body_timeout"},
    414: {"uri_too_long"},
    413: {"body_too_large"},
    431: {"header_too_large"},
    404: {"no_route"},
    405: {"method_not_allowed"},
    401: {"missing_credentials", "invalid_credentials", "expired_credentials"},
    403: {"insufficient_scope", "ip_denied"},
    429: {"rate_limited"},
    503: {"overloaded", "draining", "breaker_open", "no_healthy_target", "limit_store_down", "auth_unavailable"},
    504: {"connect_timeout", "response_timeout", "idle_timeout", "total_timeout"},
    502: {"connect_refused", "dns_error", "tls_error", "upstream_reset", "upstream_protocol_error"},
    500: {"internal_error"},
}
UNSENDABLE = {Reason.CLIENT_CLOSED, Reason.SEND_TIMEOUT, Reason.RESPONSE_TRUNCATED}


def test_each_reason_has_the_status_of_the_table() -> None:
    assert set(STATUS) == set(Reason)
    for status, tokens in TABLE.items():
        for token in tokens:
            assert STATUS[Reason(token)] == status
    said = {Reason(token) for tokens in TABLE.values() for token in tokens}
    assert set(Reason) - said == {Reason.OK} | UNSENDABLE


@pytest.mark.parametrize("reason", list(Reason))
def test_a_token_fits_a_label_a_log_line_and_a_header(reason: Reason) -> None:
    assert re.fullmatch(r"[a-z_]{2,32}", reason.value)
    assert reason.token == reason.value.encode()


def test_sources_have_tokens_too() -> None:
    assert {source.token for source in Source} == {b"gateway", b"upstream"}


def test_every_status_that_is_sent_has_a_title() -> None:
    assert {STATUS[reason] for reason in Reason if reason is not Reason.OK} | {505, 417} <= set(TITLES)


def test_every_refusal_has_a_proxy_error() -> None:
    assert set(Reason) - set(PROXY_ERROR) == {Reason.OK, Reason.CLIENT_CLOSED, Reason.SEND_TIMEOUT}


def test_a_503_says_when_to_come_back() -> None:
    # The breaker's own reply carries the seconds until its next probe.
    assert {reason for reason in Reason if STATUS[reason] == 503} - {Reason.BREAKER_OPEN} == set(RETRY_AFTER)
    assert all(seconds >= 1 for seconds in RETRY_AFTER.values())


def test_what_breaks_the_message_closes_the_connection() -> None:
    closing = {reason for reason in Reason if reason.closes}
    broken = {reason for reason in Reason if STATUS[reason] in (400, 408, 413, 414, 431)}
    assert closing == broken | {Reason.INTERNAL_ERROR}


def test_each_reason_has_its_own_number() -> None:
    assert [reason.number for reason in Reason] == list(range(len(Reason)))


def test_an_http_error_takes_its_status_from_the_table_or_its_own() -> None:
    error = HttpError(Reason.BAD_REQUEST, "why")
    assert (error.reason, error.detail, error.status, str(error)) == (Reason.BAD_REQUEST, "why", 400, "why")
    assert HttpError(Reason.BAD_REQUEST, "why", 505).status == 505


def test_retry_has_three_values() -> None:
    assert [retry.name for retry in Retry] == ["NEVER", "REUSED_ONLY", "ALWAYS"]
