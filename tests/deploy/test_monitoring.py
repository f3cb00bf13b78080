"""monitoring/: the alert rules and the dashboard, as Prometheus has them; e2e/test_monitoring.py feeds them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.deployment import ROOT, objects
from tests.monitoring import ALERTS, DASHBOARD, alerts, panels

RULE_TESTS = Path(__file__).with_name("alerts_test.yaml")
RUNBOOK = ROOT / "docs" / "monitoring.md"
PROMTOOL = shutil.which("promtool") or shutil.which("promtool", path=Path(sys.executable).parent)

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool knows what Prometheus takes")


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(PROMTOOL), *map(str, arguments)], check=False, capture_output=True, text=True)


@needs_promtool
def test_the_rules_are_as_prometheus_has_them() -> None:
    checked = promtool("check", "rules", ALERTS)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@needs_promtool
def test_each_alert_fires_when_it_should_and_not_before() -> None:
    tested = promtool("test", "rules", RULE_TESTS)
    assert tested.returncode == 0, tested.stdout + tested.stderr


@needs_promtool
def test_the_expressions_of_the_dashboard_are_as_prometheus_has_them(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": target["expr"].replace("$__rate_interval", "1m")}
        for number, target in enumerate(target for panel in panels() for target in panel["targets"])
    ]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    checked = promtool("check", "rules", tmp_path / "rules.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_alert_has_a_test_that_it_fires_and_one_that_it_does_not() -> None:
    fired: dict[str, set[bool]] = {}
    for group in yaml.safe_load(RULE_TESTS.read_text())["tests"]:
        series = " ".join(given["series"] for given in group["input_series"])
        instances = set(re.findall(r'instance="(\w+)"', series))
        for test in group["alert_rule_test"]:
            firing = {alert["exp_labels"]["instance"] for alert in test["exp_alerts"]}
            fired.setdefault(test["alertname"], set()).update({True} if firing else set())
            fired[test["alertname"]].update({False} if instances - firing else set())
    assert fired == {alert["alert"]: {True, False} for alert in alerts()}


def test_each_alert_has_its_lines_in_the_runbook() -> None:
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^###|\Z)", RUNBOOK.read_text(), re.MULTILINE | re.DOTALL))
    assert list(sections) == [alert["alert"] for alert in alerts()]
    for alert in alerts():
        text = sections[alert["alert"]]
        assert text.strip().startswith(alert["labels"]["severity"].capitalize() + ". ")
        assert "- **Look at** " in text
        assert "- **Do**: " in text
        assert alert["annotations"]["runbook"] == f"docs/monitoring.md#{alert['alert'].lower()}"


def test_an_alert_of_what_is_scraped_knows_the_names_of_the_services() -> None:
    (down,) = [alert for alert in alerts() if alert["alert"] == "PolyglotDown"]
    jobs = re.compile(re.findall(r'job=~"([^"]+)"', down["expr"])[0])
    monitor = yaml.safe_load((ROOT / "k8s/overlays/prod/monitoring.yaml").read_text())
    names = monitor["spec"]["selector"]["matchExpressions"][0]["values"]
    services = {each["metadata"]["name"] for each in objects(None) if each["kind"] == "Service"}
    assert set(names) <= services
    assert all(jobs.fullmatch(name) for name in [*names, "polyglot"])


def test_the_dashboard_is_whole() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    for panel in panels():
        assert panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            assert 'instance=~"$instance"' in target["expr"], panel["title"]
