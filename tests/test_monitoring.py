"""The alert rules and the dashboard: they use metrics and outcomes that exist, and every alert has a runbook."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from receivers.deliveries.outcomes import Tone, tone
from receivers.kargo.refresh_outcomes import RefreshOutcome
from receivers.ops.metrics import Gauges, Metrics
from tests.charts import CHART, render
from tests.clusters import ROOT
from tests.components import require

RULES = CHART / "files" / "monitoring" / "alerts.yaml"
DASHBOARD = CHART / "files" / "monitoring" / "dashboard.json"
RUNBOOKS = ROOT / "docs" / "runbooks"
UNIT_TESTS = ROOT / "tests" / "monitoring" / "alerts_test.yaml"
EVERYTHING = CHART / "ci" / "everything.yaml"


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard_queries() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def exported() -> dict[str, set[str]]:
    """Return the samples that `/metrics` exports, each with its labels."""
    watch: Any = SimpleNamespace(
        resource=SimpleNamespace(kind="Warehouse"), synced=True, contact=1.0, error="", failing_since=None
    )
    watched: Any = SimpleNamespace(ready=True, freshness=lambda: [watch])
    metrics = Metrics()
    metrics.watch(Gauges(watched, watched, (), (), (), ()))
    metrics.count_response(200, 0.1)
    samples: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(kargoweb_\w+)(?:\{(.*)\})? ", metrics.text().decode(), re.M):
        samples.setdefault(name, set()).update(re.findall(r"(\w+)=", labels))
    return samples


@pytest.mark.parametrize("query", [*(rule["expr"] for rule in rules()), *dashboard_queries()])
def test_queries_use_metrics_and_labels_that_exist(query):
    samples = exported()
    used = re.findall(r"(kargoweb_\w+)(?:\{([^}]*)\})?", query)
    assert used
    for name, matchers in used:
        assert name in samples
        assert set(re.findall(r"(\w+)\s*[=!]", matchers)) <= samples[name]
    grouped = {label for labels in re.findall(r"by \(([^)]*)\)", query) for label in labels.split(", ")}
    assert grouped <= set().union(*(samples[name] for name, _ in used))


def test_failed_refreshes_are_those_that_need_action():
    (expr,) = (rule["expr"] for rule in rules() if rule["alert"] == "KargowebRefreshesFail")
    bad = {outcome.value for outcome in RefreshOutcome if tone(outcome.value) is Tone.BAD}
    assert [set(named.split("|")) for named in re.findall(r'outcome=~"([^"]+)"', expr)] == [bad, bad]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_alert_has_a_runbook_that_names_it(rule):
    page = ROOT / rule["annotations"]["runbook"]
    assert page.parent == RUNBOOKS
    text = page.read_text()
    severity = rule["labels"]["severity"]
    assert f"Alert `{rule['alert']}` ({severity}, after {rule['for']})." in text
    assert {"summary", "description"} <= rule["annotations"].keys()


def test_every_runbook_belongs_to_an_alert_and_is_in_the_table():
    pages = {path.name for path in RUNBOOKS.glob("*.md")} - {"index.md"}
    assert pages == {Path(rule["annotations"]["runbook"]).name for rule in rules()}
    rows = re.findall(r"^\| `(\w+)` \| \[.*\]\(([\w-]+\.md)\) \|$", (RUNBOOKS / "index.md").read_text(), re.M)
    assert rows == [(rule["alert"], Path(rule["annotations"]["runbook"]).name) for rule in rules()]


def test_the_dashboard_has_distinct_panels_that_do_not_overlap():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    cells = [
        (x, y)
        for panel in panels
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_promtool_accepts_the_rules_and_their_unit_tests(tmp_path):
    promtool = require("promtool")
    tests = tmp_path / "alerts_test.yaml"
    tests.write_text(UNIT_TESTS.read_text().replace("RULES", str(RULES)))
    for arguments in (["check", "rules", RULES], ["test", "rules", tests]):
        done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def alerts_of(*options: str) -> dict[str, dict[str, str]]:
    """Return the annotations of the chart's alerts."""
    [rules_object] = (item for item in render(EVERYTHING, *options) if item["kind"] == "PrometheusRule")
    return {
        rule["alert"]: rule["annotations"]
        for group in rules_object["spec"]["groups"]
        for rule in group["rules"]
    }


def test_the_chart_has_the_rules_with_links_and_the_dashboard():
    objects = {item["kind"]: item for item in render(EVERYTHING) if item["kind"] != "ConfigMap"}
    shipped = [rule for group in objects["PrometheusRule"]["spec"]["groups"] for rule in group["rules"]]
    assert [rule["alert"] for rule in shipped] == [rule["alert"] for rule in rules()]
    for rule, original in zip(shipped, rules(), strict=True):
        page = Path(original["annotations"]["runbook"]).name
        assert rule["annotations"]["runbook_url"] == f"https://wiki.example.com/kargoweb/runbooks/{page}"
    of_the_site = alerts_of("--set", "metrics.prometheusRule.runbookSuffix=.html")
    assert (
        of_the_site["KargowebAbsent"]["runbook_url"]
        == "https://wiki.example.com/kargoweb/runbooks/absent.html"
    )
    (dashboard,) = (item for item in render(EVERYTHING) if item["metadata"]["name"].endswith("-grafana"))
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(dashboard["data"]["kargoweb.json"]) == json.loads(DASHBOARD.read_text())
