from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgw.config.errors import ConfigError
from fastgw.config.yaml import parse
from fastgw.gateway.document.files import localise
from fastgw.gateway.document.load import load_file, load_plain
from fastgw.gateway.document.masking import masked
from fastgw.gateway.document.schema import document_schema

Problems = Callable[..., list[str]]
EXAMPLE = Path(__file__).with_name("example.yaml")

BROKEN = """\
listeners:
  - address: 127.0.0.1
  - adress: 127.0.0.1:80
workers: none
drain: {delay: 5, timout: 3s}
log: [x]
server: {max_body: 10M, server_timing: "yes"}
upstreams:
  a:
    targets: [http://1.2.3:80, {weight: 3}]
    name: x
  b: {targets: [http://127.0.0.1:1], connections: 3}
routes:
  - name: one
    match: {path: orders, hosts: [a.b:80]}
    upstream: bb
  - name: two
    match: {path: /x/*}
    upstream: b
  - name: three
    match: {path: /x/*}
    upstream: b
  - {name: two, upstream: b, cors: {origins: 3}, max_body: "${NO}"}
  - 3
"""


def test_everything_wrong_at_once_each_at_its_line(problems: Problems) -> None:
    found = problems(BROKEN)
    assert [line.split(": ")[:2] for line in found] == [
        ["gateway.yaml:2", "listeners[0].address"],
        ["gateway.yaml:3", "listeners[1].address"],
        ["gateway.yaml:3", "listeners[1].adress"],
        ["gateway.yaml:4", "workers"],
        ["gateway.yaml:5", "drain.delay"],
        ["gateway.yaml:5", "drain.timout"],
        ["gateway.yaml:6", "log"],
        ["gateway.yaml:7", "server.server_timing"],
        ["gateway.yaml:7", "server.max_body"],
        ["gateway.yaml:10", "upstreams.a.targets[0].url"],
        ["gateway.yaml:10", "upstreams.a.targets[1].url"],
        ["gateway.yaml:11", "upstreams.a.name"],
        ["gateway.yaml:12", "upstreams.b.connections"],
        ["gateway.yaml:15", "routes[0].match.hosts[0]"],
        ["gateway.yaml:15", "routes[0].match.path"],
        ["gateway.yaml:16", "routes[0].upstream"],
        ["gateway.yaml:21", "routes[2].match"],
        ["gateway.yaml:23", "routes[3].max_body"],
        ["gateway.yaml:23", "routes[3].name"],
        ["gateway.yaml:23", "routes[3].cors.origins"],
        ["gateway.yaml:24", "routes[4]"],
    ]
    assert all("pydantic" not in line and "Input should" not in line for line in found)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "the file is empty"),
        ("just text", '"just text" is not a mapping'),
        ("3", "3 is not a mapping"),
        ("- a\n- b", "a list is not a mapping"),
        ("null", "nothing is not a mapping"),
        ("a: [", "."),
        ("\0", "control character"),
        (b"\x7fELF\x02\x01\x01\0\0", "control character"),
        (bytes(range(128, 256)), "not UTF-8"),
        ("listeners: 3", "3 is not a list"),
        ("listeners:", "nothing is not a list"),
        ("listeners: []", "listeners is empty"),
        ("upstreams: []", "upstreams: a list is not a mapping"),
        ("upstreams: {a: }", "upstreams.a: nothing is not a mapping"),
        ("upstreams: {a: []}", "upstreams.a: a list is not a mapping"),
        ("upstreams: {a: {targets: []}}", "targets is empty"),
        ("upstreams: {'': {targets: [http://x]}}", "no name"),
        ("routes: {}", "routes: a mapping is not a list"),
        ("routes: [[]]", "routes[0]: a list is not a mapping"),
        ("routes: [{name: [1]}]", "routes[0].name"),
        ("routes: [{name: {a: 1}, match: 3, upstream: 3}]", "routes[0].match"),
        ("workers: .nan", "not-a-number"),
        ("workers: 99999999999999999999999999", "18 digits"),
        ("workers: 999999", "from 1 to 512"),
        ("server: {max_connections: 1.5}", "whole number"),
        ("a: " + "[" * 200 + "]" * 200, "nested deeper"),
        ("a: " + "{a: " * 30 + "}" * 30, "unknown key"),
        ("? a\n: 1\n", "unknown key"),
        ("? {a: 1}\n: 1\n", "a key must be text"),
        ("1: 2", "unknown key"),
        ("'\\0\\n': 2", "unknown key"),
        ("listeners: &a []\nroutes: *a", "alias"),
    ],
)
def test_bad_input_gets_a_place_and_a_cure(problems: Problems, text: str | bytes, hint: str) -> None:
    found = problems(text)
    assert any(hint in line for line in found), found
    assert all(line.startswith("gateway.yaml:") for line in found)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    def refusal(path: Path) -> str:
        with pytest.raises(ConfigError) as caught:
            load_file(path, {})
        return str(caught.value)

    assert refusal(tmp_path / "no.yaml") == f"{tmp_path}/no.yaml: there is no such file; name it with -c FILE"
    assert refusal(tmp_path) == f"{tmp_path}: this is a directory; name the file in it"
    assert "cannot be read" in refusal(tmp_path / ("x" * 300))
    assert "cannot be read" in refusal(tmp_path / "a\0b")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "cannot be read" in refusal(tmp_path / "loop")
    (tmp_path / "file").write_text("")
    assert "cannot be read" in refusal(tmp_path / "file" / "gateway.yaml")
    assert "128 MB" in refusal(Path("/dev/zero"))
    assert "not UTF-8" in refusal(tmp_path / "\udcff" / "gateway.yaml")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("")
    file.chmod(0)
    with pytest.raises(ConfigError, match="permission denied"):
        load_file(file, {})


def example_of(count: int) -> str:
    routes = "".join(
        f"""  - name: route-{number}
    match:
      hosts: [api{number % 50}.example.com, "*.shop.example.com"]
      path: /orders-{number}/*
      methods: [GET, POST, PUT, DELETE]
      headers: {{x-api-version: "2"}}
    upstream: orders
    max_body: 1MB
    rewrite:
      path: {{strip_prefix: /orders-{number}, add_prefix: /v2}}
      request_headers: {{set: {{x-gateway: fastgw}}, remove: [x-debug]}}
    timeouts: {{response: 5s, total: 10s}}
"""
        for number in range(count)
    )
    upstreams = "upstreams: {orders: {targets: [http://127.0.0.1:9001]}}\n"
    return "listeners: [{address: '127.0.0.1:8080'}]\n" + upstreams + "routes:\n" + routes


def test_ten_thousand_routes_within_three_seconds_of_cpu(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(example_of(10_000))
    took = []
    # It is 1.5 s on a quiet machine; a busy one may need more than one try.
    while not took or (len(took) < 3 and took[-1] >= 3.0):
        began = time.process_time()
        document = load_file(file, {})
        took.append(time.process_time() - began)
        assert len(document.routes) == 10_000
    assert min(took) < 3.0
    assert gc.isenabled()


def test_collection_is_on_again_after_a_refusal(problems: Problems) -> None:
    assert problems("a: 1")
    assert gc.isenabled()


def test_the_instance_is_named_after_the_host(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("listeners: [{address: '127.0.0.1:8080'}]\n")
    assert load_file(file, {}).base.instance == "gateway"
    document = load_file(file, {"HOSTNAME": "edge-1"})
    assert document.base.instance == "edge-1"
    assert document.plain["instance"] == "edge-1"


def test_what_is_kept_is_the_document_after_expansion(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text('listeners: [{address: "127.0.0.1:${PORT:-8080}"}]\ninstance: i\nworkers: ${W}\n')
    document = load_file(file, {"W": "3"})
    assert document.base.workers == 3
    assert document.plain["listeners"] == [{"address": "127.0.0.1:8080"}]
    assert load_plain(document.plain, "again").hash == document.hash


def test_plain_values_have_problems_without_lines(plain: dict[str, Any]) -> None:
    plain["routes"].append(dict(plain["routes"][0], name="three"))
    plain["routes"].append(plain["routes"][1])
    plain["x"] = 1
    with pytest.raises(ConfigError) as caught:
        load_plain(plain, "version 3")
    text = str(caught.value)
    assert text.startswith("version 3: x: unknown key")
    assert 'version 3: routes[2].match: it takes the same requests as the route "one", and neither' in text
    assert 'version 3: routes[3].name: another route is named "two"; give each its own name' in text


def test_plain_values_are_not_expanded(plain: dict[str, Any]) -> None:
    plain["routes"][1]["reply"]["body"] = ""
    plain["instance"] = "${HOME}"
    with pytest.raises(ConfigError, match="no name"):
        load_plain(plain, "PUT")
    for value in ([], 3, "x", None):
        with pytest.raises(ConfigError, match="is not a mapping"):
            load_plain(value, "PUT")


def every_key() -> list[str]:
    schema = document_schema()
    blocks = [schema, *schema["$defs"].values()]
    return sorted({key for block in blocks for key in block.get("properties", ())})


TEXTS = [
    "", "x", "10s", "0s", "1MB", "1/s", "20%",
    "/a/*", "/{x}", "/%2e%2e", "http://x", "https://[::1]:1", "unix:", "file:x",
    "redis", "true", "127.0.0.1:80", "0.0.0.0:80", "::/0", "*.a", "hash",
    "client_ip", "\0", "\n", "ä", "${X}", "host", "GET",
]  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**62), 2**62), st.floats(), st.sampled_from(TEXTS)
)
KEYS = st.one_of(st.sampled_from(every_key()), st.sampled_from(TEXTS))
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.dictionaries(KEYS, SCALARS, max_size=3),
    st.lists(st.dictionaries(KEYS, SCALARS, max_size=2), max_size=2),
)


def containers(value: Any) -> list[Any]:
    if not isinstance(value, dict | list):
        return []
    inner = value.values() if isinstance(value, dict) else value
    return [value, *(found for item in inner for found in containers(item))]


@st.composite
def broken_documents(draw: st.DrawFn) -> dict[str, Any]:
    """The example with a few of its values, anywhere, replaced or joined by something else."""
    document: dict[str, Any] = parse(EXAMPLE.read_bytes(), "example", {}).plain
    for _ in range(draw(st.integers(1, 3))):
        node = draw(st.sampled_from(containers(document)))
        if isinstance(node, dict):
            node[draw(st.sampled_from(sorted(node)) if node and draw(st.booleans()) else KEYS)] = draw(VALUES)
        else:
            node[draw(st.integers(0, len(node))) :] = [draw(VALUES)]
    return document


def accepts(load: Callable[[], object]) -> None:
    """A document or a ConfigError that can be shown; anything else is a defect."""
    try:
        load()
    except ConfigError as error:
        assert error.problems
        assert all(
            problem.message and "\0" not in problem.message.replace(str(problem.path), "")
            for problem in error.problems
        )
        str(error).encode()


# The first example pays for imports, and the machine may be busy: no deadline.
@settings(deadline=None, max_examples=200)
@given(broken_documents())
def test_no_shape_of_a_document_ends_in_a_traceback(document: dict[str, Any]) -> None:
    accepts(lambda: load_plain(document, "fuzz"))
    list(localise(document, Path("/etc")))
    masked(document)


BYTES = st.one_of(
    st.binary(max_size=300),
    st.text("ab:-[]{}#&*!|>'\"%@`,?\t\n $\\~0.", max_size=80).map(lambda text: text.encode()),
)


@settings(deadline=None, max_examples=200)
@given(BYTES)
def test_no_bytes_end_in_a_traceback(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    file.write_bytes(data)
    accepts(lambda: load_file(file, {"a": "b"}))
