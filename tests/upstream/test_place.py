import pytest

from fastgw.config.address import parse_target
from fastgw.upstream.options import TargetOptions
from fastgw.upstream.place import Place, host_field, literal


@pytest.mark.parametrize(
    ("place", "label"),
    [
        (Place("svc", 80, "10.0.0.1"), "10.0.0.1:80"),
        (Place("::1", 81, "::1"), "[::1]:81"),
        (Place("/run/a", 80, ""), "unix:/run/a"),
    ],
)
def test_a_label_says_the_address(place: Place, label: str) -> None:
    assert place.label == label


@pytest.mark.parametrize(
    ("host", "own"),
    [("10.0.0.1", "10.0.0.1"), ("::1", "::1"), ("svc", None), ("10.example", None), ("localhost", None)],
)
def test_only_addresses_need_no_look_up(host: str, own: str | None) -> None:
    assert literal(host) == own


@pytest.mark.parametrize(
    ("url", "field"),
    [
        ("http://svc", b"svc"),
        ("http://svc:443", b"svc:443"),
        ("https://svc:443", b"svc"),
        ("https://svc:80", b"svc:80"),
        ("http://[::1]:81", b"[::1]:81"),
        ("unix:/run/a", b"localhost"),
    ],
)
def test_host_has_a_port_unless_it_is_the_usual_one(url: str, field: bytes) -> None:
    parse_target(url)
    assert host_field(TargetOptions.model_validate({"url": url})) == field
