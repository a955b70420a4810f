"""Answers of the gateway's own: their bytes, to the last one."""

from __future__ import annotations

import json

import pytest

from fastgw.errors import RETRY_AFTER, STATUS, Reason
from fastgw.http1 import writer
from fastgw.http1.fields import FieldParser
from fastgw.http1.response import parse_response_head
from fastgw.model.messages import Reply, ResponseHead

DATE = b"Date: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
REFUSALS = [reason for reason in Reason if reason is not Reason.OK]


def answer(
    reply: Reply,
    request_id: bytes = b"id-1",
    *,
    head_only: bool = False,
    close: bool = False,
    http10: bool = False,
) -> tuple[ResponseHead, bytes]:
    """The answer as a client reads it."""
    raw = writer.reply(reply, request_id, DATE, head_only=head_only, close=close, http10=http10)
    head, end, body = raw.partition(b"\r\n\r\n")
    assert end
    return parse_response_head(head + b"\r\n", FieldParser()), body


@pytest.mark.parametrize("reason", REFUSALS)
def test_every_refusal_is_a_problem_document(reason: Reason) -> None:
    head, body = answer(Reply(reason, STATUS[reason], 'what "is" wrong', rule="r"))
    document = json.loads(body)
    assert document == {
        "type": f"urn:fastgw:reason:{reason.value}", "title": document["title"], "status": STATUS[reason],
        "detail": "what \"is\" wrong", "reason": reason.value, "request_id": "id-1",
    }  # fmt: skip
    assert document["title"] not in ("", "Error")
    fields = head.fields
    assert head.status == STATUS[reason]
    assert fields[b"content-type"] == b"application/problem+json"
    assert fields[b"cache-control"] == b"no-store"
    assert int(fields[b"content-length"]) == len(body)
    assert fields[b"x-request-id"] == b"id-1"
    assert reason.value.encode() in fields[b"proxy-status"]
    assert fields[b"proxy-status"].startswith(b"fastgw; error=")
    expected = str(RETRY_AFTER[reason]).encode() if reason in RETRY_AFTER else None
    assert fields.get(b"retry-after") == expected


def test_a_status_of_its_own_has_its_own_title() -> None:
    head, body = answer(Reply(Reason.BAD_REQUEST, 505, "x"))
    assert head.status == 505
    assert json.loads(body)["title"] == "HTTP Version Not Supported"


def test_417_has_a_title() -> None:
    assert json.loads(answer(Reply(Reason.BAD_REQUEST, 417, "x"))[1])["title"] == "Expectation Failed"


def test_a_static_answer() -> None:
    reply = Reply(Reason.OK, 200, body=b"hello", content_type=b"text/plain", headers=b"X-A: 1\r\n")
    raw = writer.reply(reply, b"id", DATE, head_only=False, close=False, http10=False)
    assert raw == (
        b"HTTP/1.1 200 OK\r\n"
        + DATE
        + b"Content-Type: text/plain\r\nContent-Length: 5\r\nX-A: 1\r\nX-Request-Id: id\r\n\r\nhello"
    )


def test_head_keeps_the_length_and_drops_the_body() -> None:
    head, body = answer(Reply(Reason.OK, 200, body=b"hello"), head_only=True)
    assert (head.length, body) == (5, b"")
    head, body = answer(Reply(Reason.NO_ROUTE, 404, "x"), head_only=True)
    assert head.length > 0
    assert body == b""


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body(status: int) -> None:
    raw = writer.reply(
        Reply(Reason.OK, status, body=b"no"), b"id", DATE, head_only=False, close=False, http10=False
    )
    assert raw.endswith(b"\r\n\r\n")
    assert b"Content-Length" not in raw


@pytest.mark.parametrize(
    ("close", "http10", "connection"),
    [(False, False, None), (True, False, b"close"), (True, True, b"close"), (False, True, b"keep-alive")],
)
def test_what_is_said_of_the_connection(close: bool, http10: bool, connection: bytes | None) -> None:
    head, _ = answer(Reply(Reason.OK, 200, body=b""), close=close, http10=http10)
    assert head.fields.get(b"connection") == connection


def test_without_an_id_there_is_no_id_line() -> None:
    assert b"x-request-id" not in answer(Reply(Reason.OK, 200, body=b""), b"")[0].fields


def test_an_unknown_status_has_a_line_without_a_phrase() -> None:
    assert writer.status_line(299) == b"HTTP/1.1 299 \r\n"
    assert writer.status_line(404) == b"HTTP/1.1 404 Not Found\r\n"


def test_the_date_is_in_gmt_whatever_the_locale() -> None:
    assert writer.date_line(1_700_000_000.9) == DATE
    assert writer.date_line(0.0) == b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"


REPLIES = [
    *(Reply(reason, STATUS[reason], "a detail", rule="r") for reason in REFUSALS),
    Reply(Reason.RATE_LIMITED, 429, "d", headers=b"Retry-After: 7\r\n", members={"violated-policies": ['a"b']}),
    Reply(Reason.OK, 200, body=b'{"request_id":"x"}', content_type=b"application/json"),
    Reply(Reason.OK, 200, body=b""),
    Reply(Reason.OK, 204, headers=b"Allow: GET\r\n"),
    Reply(Reason.OK, 304, body=b"never sent"),
]


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: f"{reply.status}-{reply.reason.value}")
@pytest.mark.parametrize("request_id", [b"0" * 32, b"9f" * 16, b"of-a-proxy", b"x" * 33])
def test_the_usual_way_writes_the_same_bytes(reply: Reply, request_id: bytes) -> None:
    for _ in range(2):  # the second time from what the first one kept
        made = writer.usual(reply, request_id, DATE)
        assert made == writer.reply(reply, request_id, DATE, head_only=False, close=False, http10=False)


def test_which_refusals_end_the_connection() -> None:
    """Design section 6: after 400, 408, 413, 414 and 431 the connection closes."""
    for reason in REFUSALS:
        assert reason.closes is (STATUS[reason] in (400, 408, 413, 414, 431, 500))
    assert not Reason.OK.closes
