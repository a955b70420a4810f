from __future__ import annotations

import pytest

from fastgw.config.paths import Path, text_of


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("routes", 2, "match", "path"), "routes[2].match.path"),
        (("upstreams", "a.b", "targets"), "upstreams['a.b'].targets"),
        (("x", "new\nline"), "x['new\\nline']"),
        (("upstreams", "orders-next"), "upstreams.orders-next"),
    ],
)
def test_text(path: Path, text: str) -> None:
    assert text_of(path) == text


def test_a_long_key_is_cut() -> None:
    assert len(text_of(("a", "/" * 1000))) < 80
