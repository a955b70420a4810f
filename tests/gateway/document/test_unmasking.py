"""What masking hides comes back unchanged, wherever it was moved to; nothing else does."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from fastgw.config.paths import text_of
from fastgw.gateway.document.load import load_plain
from fastgw.gateway.document.masking import MASK, masked
from fastgw.gateway.document.model import Document
from fastgw.gateway.document.unmasking import unmask

DIGEST = "sha256:" + "1" * 64
OTHER = "sha256:" + "2" * 64
THIRD = "sha256:" + "3" * 64
SECRET = "a-secret-of-more-than-32-characters!"

PLAIN: dict[str, Any] = {
    "listeners": [{"address": "127.0.0.1:8080"}],
    "admin": {"token": "t" * 40},
    "redis": {"url": "redis://user:hush@host:6379/0"},
    "issuers": {
        "one": {"algorithms": ["HS256"], "secret": SECRET},
        "two": {"algorithms": ["ES256"], "jwks_url": "https://u:hush@keys.example/jwks"},
    },
    "consumers": [
        {"name": "ann", "keys": [DIGEST]},
        {"name": "bob", "keys": [OTHER, THIRD]},
        {"name": "eve"},
    ],
    "upstreams": {"app": {"targets": ["http://127.0.0.1:9001"]}},
    "routes": [
        {
            "name": "first",
            "match": {"path": "/first", "headers": {"X-Api-Key": "hush-1"}},
            "upstream": "app",
            "rewrite": {"request_headers": {"set": {"Authorization": "Basic hush", "X-Open": "open"}}},
        },
        {
            "name": "second",
            "match": {"path": "/second"},
            "upstream": "app",
            "rewrite": {"response_headers": {"set": {"Set-Cookie": "hush-2"}}},
        },
    ],
    "tests": [
        {"request": "GET http://a.example/first", "headers": {"Cookie": "hush-3"}, "expect": {"status": 404}},
        {"request": "GET http://a.example/first", "headers": {"Cookie": "hush-4"}, "expect": {"status": 404}},
    ],
}


@pytest.fixture(scope="module")
def before() -> Document:
    return load_plain(copy.deepcopy(PLAIN), "before", tested=False)


@pytest.fixture
def sent() -> dict[str, Any]:
    result = masked(PLAIN)
    assert "hush" not in str(result) and SECRET not in str(result) and "111" not in str(result)
    return result


def wrong(plain: dict[str, Any], before: Document) -> dict[str, str]:
    return {text_of(finding.path): finding.message for finding in unmask(plain, before)}


def test_what_is_sent_back_as_it_was_shown_is_unchanged(sent: dict[str, Any], before: Document) -> None:
    assert wrong(sent, before) == {}
    assert sent == PLAIN


def test_places_are_known_by_names_and_not_by_positions(sent: dict[str, Any], before: Document) -> None:
    for key in ("routes", "consumers"):
        sent[key].reverse()
    sent["routes"].insert(0, {"name": "new", "match": {"path": "/new"}, "reply": {"status": 204}})
    assert wrong(sent, before) == {}
    by_name = {entry["name"]: entry for entry in (*sent["routes"], *sent["consumers"])}
    for entry in (*PLAIN["routes"], *PLAIN["consumers"]):
        assert by_name[entry["name"]] == entry


def test_headers_have_their_names_in_any_case(sent: dict[str, Any], before: Document) -> None:
    sent["routes"][0]["rewrite"]["request_headers"]["set"] = {"authorization": MASK}
    assert wrong(sent, before) == {}
    assert sent["routes"][0]["rewrite"]["request_headers"]["set"] == {"authorization": "Basic hush"}


def test_new_values_are_taken_as_they_are(sent: dict[str, Any], before: Document) -> None:
    sent["issuers"]["one"]["secret"] = "x" * 40
    sent["redis"]["url"] = "redis://user:new@host:6379/0"
    sent["consumers"][0]["keys"] = [THIRD]
    assert wrong(sent, before) == {}
    assert sent["issuers"]["one"]["secret"] == "x" * 40
    assert sent["redis"]["url"] == "redis://user:new@host:6379/0"
    assert sent["consumers"][0]["keys"] == [THIRD]


def test_some_of_several_keys(sent: dict[str, Any], before: Document) -> None:
    bob = sent["consumers"][1]
    assert bob["keys"] == [f"sha256:{MASK}#1", f"sha256:{MASK}#2"]
    bob["keys"] = [DIGEST, f"sha256:{MASK}#2"]
    assert wrong(sent, before) == {}
    assert bob["keys"] == [DIGEST, THIRD]


@pytest.mark.parametrize("key", [f"sha256:{MASK}", f"sha256:{MASK}#3", f"sha256:{MASK}#0", f"sha256:{MASK}#"])
def test_a_key_that_could_be_either_is_refused(key: str, sent: dict[str, Any], before: Document) -> None:
    sent["consumers"][1]["keys"] = [key]
    (message,) = wrong(sent, before).values()
    assert "cannot be seen" in message and f"sha256:{MASK}#1" in message


def test_a_mask_where_nothing_was_is_no_secret(sent: dict[str, Any], before: Document) -> None:
    sent["issuers"]["three"] = {"algorithms": ["HS256"], "secret": MASK}
    sent["consumers"][2]["keys"] = [f"sha256:{MASK}"]
    sent["consumers"].append({"name": "new", "keys": [f"sha256:{MASK}"]})
    sent["routes"][0]["name"] = "renamed"
    sent["upstreams"]["app"]["tls"] = {"key": MASK}
    sent["upstreams"]["other"] = {"tls": {"key": MASK}}
    sent["tests"].append({"request": "GET http://a.example/first", "headers": {"Cookie": MASK}})
    found = wrong(sent, before)
    assert set(found) == {
        "issuers.three.secret",
        "consumers[2].keys[0]",
        "consumers[3].keys[0]",
        "routes[0].match.headers.X-Api-Key",
        "routes[0].rewrite.request_headers.set.Authorization",
        "upstreams.app.tls.key",
        "upstreams.other.tls.key",
        "tests[2].headers.Cookie",
    }
    assert "write the value itself" in found["issuers.three.secret"]


def test_of_tests_that_look_the_same_none_gets_the_others_secret(sent: dict[str, Any], before: Document) -> None:
    del sent["tests"][0]
    assert list(wrong(sent, before)) == ["tests[0].headers.Cookie"]
    assert sent["tests"][0]["headers"] == {"Cookie": MASK}


def test_tests_of_one_request_are_known_by_the_rest_of_them() -> None:
    plain = copy.deepcopy(PLAIN)
    plain["tests"][0]["expect"] = {"reason": "no_route"}
    plain["tests"].append({**plain["tests"][0], "headers": {"Cookie": "hush-5", "X-Open": "open"}})
    before = load_plain(copy.deepcopy(plain), "before", tested=False)
    sent = masked(plain)
    sent["tests"].reverse()
    assert wrong(sent, before) == {}
    assert sent["tests"] == plain["tests"][::-1]
    sent = masked(plain)
    del sent["tests"][0]
    assert wrong(sent, before) == {}
    assert sent["tests"] == plain["tests"][1:]
    # The only one of them that has changed is still known.
    sent = masked(plain)
    sent["tests"][1]["expect"] = {"status": 405}
    assert wrong(sent, before) == {}
    assert sent["tests"][1]["headers"] == {"Cookie": "hush-4"}
    # Of two it cannot be seen which is which.
    sent = masked(plain)
    for number, status in ((0, 405), (1, 406)):
        sent["tests"][number]["expect"] = {"status": status}
    assert list(wrong(sent, before)) == ["tests[0].headers.Cookie", "tests[1].headers.Cookie"]


@pytest.mark.parametrize(
    "url", [f"redis://{MASK}@elsewhere:6379/0", f"redis://{MASK}@host:6379/1", f"rediss://{MASK}@host:6379/0", MASK]
)
def test_a_password_goes_to_no_other_place(url: str, sent: dict[str, Any], before: Document) -> None:
    sent["redis"]["url"] = url
    sent["issuers"]["two"]["jwks_url"] = f"https://{MASK}@evil.example/jwks"
    found = wrong(sent, before)
    assert set(found) == {"redis.url", "issuers.two.jwks_url"}
    assert "hush" not in str([sent["redis"], sent["issuers"]])


def test_the_field_of_api_keys_whatever_it_is_called() -> None:
    plain = copy.deepcopy(PLAIN)
    plain["api_keys"] = {"header": "X-Entry"}
    plain["routes"][0]["match"]["headers"]["X-Entry"] = "hush-5"
    before = load_plain(copy.deepcopy(plain), "before", tested=False)
    sent = masked(plain)
    assert "hush" not in str(sent)
    assert wrong(sent, before) == {}
    assert sent == plain
    # It would be shown from then on to whoever may read.
    for other in ({"header": "X-Other"}, None):
        found = wrong({**masked(plain), "api_keys": other}, before)
        assert list(found) == ["routes[0].match.headers.X-Entry"]
        assert "api_keys.header would hide no more" in found["routes[0].match.headers.X-Entry"]


def test_a_value_that_is_no_secret_may_look_like_the_mask(sent: dict[str, Any], before: Document) -> None:
    sent["routes"][0]["rewrite"]["request_headers"]["set"]["X-Open"] = MASK
    assert wrong(sent, before) == {}
    assert sent["routes"][0]["rewrite"]["request_headers"]["set"]["X-Open"] == MASK


@pytest.mark.parametrize("value", [None, 3, "x", [], {}, [3], [None], {"a": 3}, [{"name": 3, "keys": [MASK, 3]}]])
def test_other_shapes_are_left_to_the_check(value: Any, before: Document) -> None:
    for block in PLAIN:
        list(unmask({block: copy.deepcopy(value)}, before))


def test_a_route_without_a_name_has_no_twin(before: Document) -> None:
    for name in (None, 3, ["first"]):
        plain = {"routes": [{"name": name, "match": {"headers": {"X-Api-Key": MASK}}}]}
        assert list(wrong(plain, before)) == ["routes[0].match.headers.X-Api-Key"]
