from collections.abc import Callable
from typing import Any

from fastgw.control.targets import Targets
from fastgw.gateway.document.model import Document
from fastgw.ipc import messages
from fastgw.upstream.place import Place

Make = Callable[..., Document]


def made(document: Make, *targets: Any) -> Targets:
    one = Targets()
    one.follow(document(upstreams={"a": {"targets": list(targets)}}))
    return one


def test_addresses_and_sockets_have_a_place_without_being_asked(document: Make) -> None:
    targets = made(document, "http://10.0.0.1:1", "unix:/run/a", "http://[::1]:2")
    assert [known.place for known in targets.of("a")] == [
        Place("10.0.0.1", 1, "10.0.0.1"), Place("/run/a", 80, ""), Place("::1", 2, "::1"),
    ]  # fmt: skip
    assert targets.labels("a") == {"10.0.0.1:1", "unix:/run/a", "[::1]:2"}


def test_a_name_has_as_many_places_as_addresses(document: Make) -> None:
    targets = made(document, {"url": "http://svc:1", "weight": 3})
    (known,) = targets.of("a")
    assert (known.place, known.error) == (None, "the name was not resolved yet")
    targets.resolved(messages.addresses("a", "svc", 1, ["10.0.0.1", "10.0.0.2"], None))
    assert [(known.place, known.options.weight, known.error) for known in targets.of("a")] == [
        (Place("svc", 1, "10.0.0.1"), 3, ""),
        (Place("svc", 1, "10.0.0.2"), 3, ""),
    ]
    targets.resolved(messages.addresses("a", "svc", 1, ["10.0.0.2"], "no such name"))
    assert [(known.place, known.error) for known in targets.of("a")] == [
        (Place("svc", 1, "10.0.0.2"), "no such name")
    ]


def test_a_document_without_a_name_forgets_its_addresses(document: Make) -> None:
    targets = made(document, "http://svc:1")
    targets.resolved(messages.addresses("a", "svc", 1, ["10.0.0.1"], None))
    targets.follow(document(upstreams={"a": {"targets": ["http://svc:2"]}}))
    targets.follow(document(upstreams={"a": {"targets": ["http://svc:1"]}}))
    assert targets.labels("a") == set()
