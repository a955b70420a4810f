from __future__ import annotations

from bench.load import traffic


def test_a_thousand_different_paths() -> None:
    assert len(set(traffic.paths())) == traffic.PATHS == 1000
    assert all(path.startswith("/hostile/api/") for path in traffic.paths(traffic.HOSTILE_PREFIX))


def test_six_headers_and_a_credential_of_300_bytes() -> None:
    fields = traffic.headers(3)
    assert len(fields) == 6
    assert len(dict(fields)["Authorization"]) == len("Bearer ") + 300
    assert len({traffic.credential(index) for index in range(traffic.CREDENTIALS)}) == traffic.CREDENTIALS


def test_a_client_without_a_credential_sends_no_header_for_it() -> None:
    assert dict(traffic.headers(3, "t{}".format))["Authorization"] == "Bearer t3"
    assert "Authorization" not in dict(traffic.headers(3, lambda index: ""))
    assert len(traffic.headers(3, lambda index: "")) == 5


def test_requests_are_spread_over_all_routes() -> None:
    few = traffic.routed_paths(10)
    many = traffic.routed_paths(10_000)
    assert len({path.split("/")[1] for path in few}) == 10
    assert len({path.split("/")[1] for path in many}) == 1000
    assert {path.endswith("/status") for path in few} == {True, False}


def test_every_routed_path_has_its_route() -> None:
    for routes in (10, 1000, 10_000):
        table = {path: exact for exact, path in map(traffic.route_of, range(routes))}
        for path in traffic.routed_paths(routes):
            prefix = f"/{path.split('/')[1]}/"
            assert table.get(path) is True or table.get(prefix) is False


def test_head_has_no_empty_line_yet() -> None:
    assert traffic.head("GET", "/a", [("Host", "b")]) == "GET /a HTTP/1.1\r\nHost: b\r\n"
