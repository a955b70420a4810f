"""The dashboard for Grafana asks for metrics that there are, shows all of them, and says what each panel means."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastgw.account.families import FAMILIES, GATEWAY_FAMILIES, WORKER_FAMILIES
from tests.support.promql import SAMPLES, read

FILE = Path(__file__).resolve().parents[2] / "deploy" / "grafana-dashboard.json"
BOARD: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
VARIABLES: dict[str, dict[str, Any]] = {one["name"]: one for one in BOARD["templating"]["list"]}
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
BUILT_IN = frozenset({"__rate_interval", "datasource"})


def expressions() -> Iterator[tuple[str, str, str]]:
    """Where, the expression, the legend."""
    for panel in PANELS:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"], target["legendFormat"]
    for annotation in BOARD["annotations"]["list"]:
        yield f"annotation {annotation['name']}", annotation["expr"], annotation["textFormat"]


EXPRESSIONS = {where: (expr, legend) for where, expr, legend in expressions()}


def filled(expr: str) -> str:
    """As Grafana would: an interval is needed by the parser, the other variables stand in strings."""
    return expr.replace("$__rate_interval", "5m")


def test_it_is_a_dashboard_that_can_be_imported_again_and_again() -> None:
    assert BOARD["uid"] == "fastgw"
    assert "id" not in BOARD
    assert BOARD["schemaVersion"] >= 39
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])


def test_panels_have_their_place() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] >= 0 and place["x"] + place["w"] <= 24, panel["title"]
        cells = {
            (column, line)
            for column in range(place["x"], place["x"] + place["w"])
            for line in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_every_panel_explains_itself_and_has_a_unit(panel: dict[str, Any]) -> None:
    assert panel["title"] and panel["description"].endswith(".")
    assert panel["datasource"] == DATASOURCE
    assert all(target["datasource"] == DATASOURCE for target in panel["targets"])
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    defaults = panel["fieldConfig"]["defaults"]
    assert panel["type"] in ("heatmap", "table") or defaults["unit"]


def test_titles_are_told_apart() -> None:
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    assert len(EXPRESSIONS) == sum(len(panel["targets"]) for panel in PANELS) + len(
        BOARD["annotations"]["list"]
    )


@pytest.mark.parametrize("where", EXPRESSIONS)
def test_every_expression_is_about_what_there_is(where: str) -> None:
    expr, legend = EXPRESSIONS[where]
    labels = read(filled(expr)).labels
    assert labels is not None
    for name in re.findall(r"{{(.*?)}}", legend):
        assert name in labels, f"{name} is not in the result"


@pytest.mark.parametrize("where", EXPRESSIONS)
def test_every_selector_follows_the_variables(where: str) -> None:
    """Whoever chooses a gateway, a route or an upstream above sees it everywhere."""
    expr, _ = EXPRESSIONS[where]
    assert set(re.findall(r"\$(\w+)", expr)) <= set(VARIABLES) | BUILT_IN
    for name, selector in re.findall(r"(fastgw_\w+){(.*?)}", expr):
        for label in ("job", "instance", "route", "upstream"):
            if label in SAMPLES[name].labels:
                assert f'{label}=~"${label}"' in selector, f"{name}{{{selector}}}"
    assert len(re.findall(r"fastgw_\w+", expr)) == len(re.findall(r"fastgw_\w+{", expr))


def test_rates_are_taken_over_the_interval_of_the_scrapes() -> None:
    for where, (expr, _) in EXPRESSIONS.items():
        for function, interval in re.findall(r"(rate|increase)\([^[]*\[([^]]*)\]", expr):
            assert interval == "$__rate_interval", f"{where}: {function}"


def test_every_family_is_shown() -> None:
    shown = {name for expr, _ in EXPRESSIONS.values() for name in read(filled(expr)).names}
    for family in FAMILIES + WORKER_FAMILIES + GATEWAY_FAMILIES:
        assert {family.name, f"{family.name}_bucket"} & shown, family.name


def test_the_source_of_data_is_chosen_above() -> None:
    assert VARIABLES["datasource"]["type"] == "datasource"
    assert VARIABLES["datasource"]["query"] == "prometheus"


@pytest.mark.parametrize("name", [name for name, one in VARIABLES.items() if one["type"] == "query"])
def test_every_variable_lists_what_there_is(name: str) -> None:
    variable = VARIABLES[name]
    assert variable["datasource"] == DATASOURCE
    assert variable["definition"] == variable["query"]["query"]
    listed = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"])
    assert listed and listed[2] == name
    labels = read(listed[1]).labels
    assert labels is not None and name in labels
    assert variable["includeAll"] and variable["multi"] and variable["allValue"] == ".*"
