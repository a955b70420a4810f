from __future__ import annotations

import orjson
from click.testing import CliRunner

from fastgw.cli.schema import command
from fastgw.gateway.document.schema import document_schema


def test_the_schema_is_printed() -> None:
    result = CliRunner().invoke(command)
    assert result.exit_code == 0
    assert orjson.loads(result.output) == document_schema()
