from __future__ import annotations

import json
from pathlib import Path

from bench import backend
from bench.backend import Fault


def test_answers_are_about_125_bytes_and_name_the_request() -> None:
    body = backend.answer_to("/api/v1/items/12/detail?page=2")
    assert 100 <= len(body) <= 130
    assert json.loads(body)["path"] == "/api/v1/items/12/detail"


def test_hostile_answers_carry_a_unique_header(tmp_path: Path) -> None:
    text = backend.render(tmp_path, 4000)
    assert "add_header X-Trace $request_id" in text
    assert "split_clients" not in text


def test_a_spoilt_upstream_fails_and_lies(tmp_path: Path) -> None:
    text = backend.render(tmp_path, 4000, Fault(failing=5, wrong=5))
    assert "5% failing; 5% wrong; * fine;" in text
    assert text.count("return 503") == 3  # answers, hostile answers, files
