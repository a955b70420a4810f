from __future__ import annotations

import json

from fastgw.clock import ManualClock
from fastgw.gateway.asked import parse_request
from fastgw.gateway.explanation import explained
from tests.gateway.rig import compiled

PLAIN = {
    "listeners": [{"address": "127.0.0.1:8080"}],
    "instance": "test",
    "upstreams": {
        "app": {"targets": ["http://127.0.0.1:9001", {"url": "http://127.0.0.1:9002", "weight": 2}]}
    },
    "routes": [
        {"name": "all", "match": {"path": "/*"}, "upstream": "app"},
        {"name": "inside", "match": {"path": "/x", "headers": {"x-token": "hush"}}, "upstream": "app"},
    ],
}


def test_a_request_that_is_forwarded() -> None:
    made = explained(compiled(PLAIN), ManualClock(), parse_request("GET http://a/x", [("X-Token", "hush")]))
    assert made["match"] == {"hosts": [], "path": "/x", "methods": [], "headers": ["x-token"]}
    assert made["targets"] == [
        {"url": "http://127.0.0.1:9001", "weight": 1},
        {"url": "http://127.0.0.1:9002", "weight": 2},
    ]
    assert made["others"] == [{"route": "all", "misses": ["it takes it too, and is less exact"]}]
    assert (made["version"], made["route"], made["upstream"], made["path"]) == (1, "inside", "app", "/x")
    assert "hush" not in json.dumps(made)


def test_a_request_that_never_comes_to_routing() -> None:
    made = explained(compiled(PLAIN), ManualClock(), parse_request("GET http://a/%zz"))
    assert (made["reason"], made["route"], made["match"], made["others"], made["targets"]) == (
        "bad_request",
        None,
        None,
        [],
        [],
    )
