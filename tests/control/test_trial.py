from __future__ import annotations

from typing import Any

from fastgw.control.trial import Trial, differing
from tests.control.harness import make_document


def routes(*names: str, upstream: str = "one", **more: Any) -> dict[str, Any]:
    return {
        "upstreams": {"one": {"targets": ["http://127.0.0.1:9001"]}, "two": {"targets": ["http://127.0.0.1:9002"]}},
        "routes": [{"name": name, "match": {"path": f"/{name}"}, "upstream": upstream} for name in names],
        **more,
    }


def test_what_is_published_is_compiled_once() -> None:
    trial = Trial()
    document = make_document(**routes("a"))
    first = trial.of(document, 1)
    assert trial.of(document, 1) is first
    other = trial.compile(make_document(**routes("a", "b")), 2)
    assert other.routes["a"] is first.routes["a"]
    # A trial alone changes nothing; what is kept is the ground of the next.
    assert trial.of(document, 1) is first
    trial.keep(other)
    assert trial.of(other.document, 2) is other


def test_routes_that_differ() -> None:
    trial = Trial()
    before = trial.of(make_document(**routes("a", "b", "c")), 1)

    def compared(plain: dict[str, Any]) -> tuple[str, ...]:
        return differing(trial.compile(make_document(**plain), 2), before)

    assert compared(routes("c", "b", "a")) == ()
    assert compared(routes("a", "b", "d")) == ("c", "d")
    assert compared(routes("a", "b", "c", upstream="two")) == ("a", "b", "c")
    # Through what they depend on.
    later = routes("a", "b", "c")
    later["upstreams"]["one"]["preserve_host"] = False
    assert compared(later) == ("a", "b", "c")
    later = routes("a", "b", "c")
    later["upstreams"]["two"]["preserve_host"] = False
    assert compared(later) == ()
    assert compared(routes("a", "b", "c", server={"max_body": "1KB"})) == ("a", "b", "c")
