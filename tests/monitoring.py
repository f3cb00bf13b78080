"""What monitoring/ asks Prometheus for: the alert rules and the dashboard, and the metrics and labels in them."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml
from tests.deployment import ROOT

ALERTS = ROOT / "monitoring" / "alerts.yaml"
DASHBOARD = ROOT / "monitoring" / "dashboard.json"

# Prometheus has them by itself: the metric of a scrape, and the labels of whom it scrapes.
OF_SCRAPES = {"up"}
OF_TARGETS = {"instance", "job"}

_SELECTOR = re.compile(r"\b(polyglot_\w+|up)\b(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\b(?:by|without)\s*\(([^)]*)\)")


class Asked(NamedTuple):
    """A metric as an expression asks for it.

    Attributes:
        name: Of its samples.
        labels: By which they are told apart.
        values: The pairs of label and value that they are picked by; of `a|b`, which is a choice, each.
    """

    name: str
    labels: frozenset[str]
    values: frozenset[tuple[str, str]]


def alerts() -> list[dict[str, Any]]:
    """All rules of alerts.yaml."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """All panels of the dashboard that show something."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    """All that is asked, in PromQL."""
    return [alert["expr"] for alert in alerts()] + [target["expr"] for panel in panels() for target in panel["targets"]]


def asked_in(expression: str) -> Iterator[Asked]:
    """What it asks for, but for what Prometheus has by itself; a label that it groups by has to be on every metric."""
    unquoted = re.sub(r'"[^"]*"', '""', expression)
    grouped = {label.strip() for labels in _GROUPING.findall(unquoted) for label in labels.split(",")}
    for name, matchers in _SELECTOR.findall(expression):
        if name in OF_SCRAPES:
            continue
        pairs = [(label, value) for label, _, values in _MATCHER.findall(matchers) for value in values.split("|")]
        labels = grouped | {label for label, _ in pairs}
        chosen = {(label, value) for label, value in pairs if label not in OF_TARGETS}
        yield Asked(name, frozenset(labels - OF_TARGETS), frozenset(chosen))
