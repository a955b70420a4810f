"""The alert rules say something about metrics that there are, and tell whoever is woken up what to do."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from fastgw.errors import STATUS, Reason
from tests.support.promql import read

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "deploy" / "alerts.yaml"
GROUPS: list[dict[str, Any]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))["groups"]
RULES: dict[str, dict[str, Any]] = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}
PROMTOOL = shutil.which("promtool")


def test_groups_and_alerts_have_names_of_their_own() -> None:
    assert len({group["name"] for group in GROUPS}) == len(GROUPS)
    assert len(RULES) == sum(len(group["rules"]) for group in GROUPS)
    assert all(re.fullmatch(r"Fastgw[A-Z][A-Za-z]+", name) for name in RULES)


@pytest.mark.parametrize("name", RULES)
def test_the_expression_is_about_what_there_is(name: str) -> None:
    found = read(RULES[name]["expr"])
    assert found.labels is not None and "job" in found.labels


@pytest.mark.parametrize("name", RULES)
def test_whoever_is_woken_up_learns_what_to_do(name: str) -> None:
    rule = RULES[name]
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"] == {"severity": rule["labels"]["severity"]}
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(rule["annotations"]) == {"summary", "description"}
    assert rule["annotations"]["summary"].endswith(".") and len(rule["annotations"]["summary"]) < 140
    assert rule["annotations"]["description"].endswith(".") and len(rule["annotations"]["description"]) > 100
    if "for" in rule:
        assert promql.parse_duration(rule["for"])


@pytest.mark.parametrize("name", RULES)
def test_its_words_name_only_labels_that_it_has(name: str) -> None:
    rule = RULES[name]
    labels = read(rule["expr"]).labels or frozenset()
    for text in rule["annotations"].values():
        for template in re.findall(r"{{(.*?)}}", text):
            named = re.fullmatch(
                r" \$labels\.([a-z]+) | \$value( \| humanize(Percentage|Duration))? ", template
            )
            assert named, template
            assert named[1] is None or named[1] in labels, template


def test_reasons_are_spelled_as_they_are() -> None:
    known = {reason.value for reason in Reason}
    for name, rule in RULES.items():
        for listed in re.findall(r'reason=~?"([a-z_|]+)"', rule["expr"]):
            assert set(listed.split("|")) <= known, name


def test_every_failure_alerts() -> None:
    """A new reason that is answered with 500 or above is not forgotten here. One is meant: draining."""
    (listed,) = re.findall(r'reason=~"([a-z_|]+)"', RULES["FastgwFailing"]["expr"])
    failures = {reason.value for reason in Reason if STATUS[reason] >= 500} - {Reason.DRAINING.value}
    assert set(listed.split("|")) == failures
    assert listed.split("|") == sorted(listed.split("|"))


@pytest.mark.parametrize("command", [["check", "rules", str(FILE)], ["test", "rules", "alerts_fire.yaml"]])
@pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed here (Debian: apt-get install prometheus)"
)
def test_promtool_has_nothing_against_them(command: list[str]) -> None:
    """Its `test rules` plays a story for each alert: it is silent before, and fires with these labels."""
    assert PROMTOOL is not None
    ran = subprocess.run(
        [PROMTOOL, *command],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_there_is_a_story_for_each_alert() -> None:
    stories = yaml.safe_load((Path(__file__).parent / "alerts_fire.yaml").read_text(encoding="utf-8"))[
        "tests"
    ]
    fire = {
        case["alertname"] for story in stories for case in story["alert_rule_test"] if case.get("exp_alerts")
    }
    silent = {
        case["alertname"]
        for story in stories
        for case in story["alert_rule_test"]
        if not case.get("exp_alerts")
    }
    assert fire == silent == set(RULES)
