from __future__ import annotations

from pathlib import Path

from fastgw.gateway.document.load import load_file
from fastgw.gateway.document.secure_targets import tls_doubts
from fastgw.upstream.options import UpstreamOptions


def doubts(*targets: str, **tls: object) -> list[tuple[tuple[str | int, ...], str]]:
    options = {"name": "app", "targets": [*targets], "tls": tls}
    upstream = UpstreamOptions.model_validate(options)
    return [(doubt.path, doubt.message) for doubt in tls_doubts({"app": upstream})]


def test_what_is_in_order() -> None:
    assert doubts("https://a.example", "http://b.example", server_name="c.example") == []
    plain = UpstreamOptions.model_validate({"name": "app", "targets": ["https://a.example"]})
    assert list(tls_doubts({"app": plain})) == []


def test_tls_without_a_target_that_speaks_it() -> None:
    ((path, message),) = doubts("http://a.example", "unix:/run/a.sock", verify=False)
    assert path == ("upstreams", "app", "tls")
    assert message.startswith("no target of this upstream is https://")


def test_targets_that_nobody_proves() -> None:
    ((path, message),) = doubts("https://a.example", verify=False)
    assert path == ("upstreams", "app", "tls", "verify")
    assert "can pretend to be the target" in message


def test_the_operator_reads_it_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(
        "listeners: [{address: '127.0.0.1:8080'}]\nupstreams:\n  app:\n    targets: [https://a.example]\n"
        "    tls:\n      verify: false\nroutes: [{name: a, match: {path: /*}, upstream: app}]\n"
    )
    document = load_file(file, {})
    assert [(doubt.line, doubt.path) for doubt in document.warnings] == [(6, "upstreams.app.tls.verify")]
