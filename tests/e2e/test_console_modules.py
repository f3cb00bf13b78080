"""The modules of the console that only reckon, asked in the page."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.e2e.console_page import ConsolePage
from tests.serving import Gateway

CALL = """async ([module, call, given]) => {
  const main = document.querySelector('script[type=module]').src;
  const { [call]: asked } = await import(new URL(module, main));
  const answer = asked(...given);
  return answer instanceof Map ? [...answer] : answer;
}"""

SCRAPE = """# TYPE polyglot_publishes_total counter
polyglot_publishes_total 7.0
polyglot_deliveries_total{kind="socket"} 3.0
polyglot_deliveries_total{kind="events, of \\"sse\\""} 4.0
polyglot_publish_seconds_bucket{le="0.001"} 1.0
polyglot_publish_seconds_bucket{le="0.002"} 3.0
polyglot_publish_seconds_bucket{le="+Inf"} 4.0
polyglot_publish_seconds_sum 0.5
"""


@pytest.fixture
def call(open_console: Callable[..., ConsolePage], shared_gateway: Gateway) -> Callable[..., Any]:
    """Calls a function of a module."""
    page = open_console(shared_gateway).page
    return lambda module, function, *given: page.evaluate(CALL, [module, function, given])


def test_a_scrape_is_read(call: Callable[..., Any]) -> None:
    samples = dict(call("exposition.js", "parseExposition", SCRAPE))
    assert [sample["value"] for sample in samples["polyglot_publishes_total"]] == [7]
    assert [sample["value"] for sample in samples["polyglot_deliveries_total"]] == [3, 4]
    assert samples["polyglot_publish_seconds_sum"] == [{"labels": "", "value": 0.5}]
    assert "#" not in samples


@pytest.mark.parametrize(
    ("before", "after", "seconds", "rate"),
    [(10, 30, 2, 10), (10, 10, 1, 0), (30, 10, 1, None), (None, 10, 1, None), (10, None, 1, None), (1, 2, 0, None)],
)
def test_rates(call: Callable[..., Any], before: Any, after: Any, seconds: float, rate: Any) -> None:
    assert call("rates.js", "rate", before, after, seconds) == rate


BOUNDS = (0.001, 0.002, 0.004, float("inf"))


def buckets(*counts: int) -> list[tuple[float, int]]:
    return list(zip(BOUNDS, counts, strict=True))


@pytest.mark.parametrize(
    ("q", "before", "after", "quantile"),
    [
        (0.5, (0, 0, 0, 0), (10, 10, 10, 10), 0.0005),
        (0.5, (5, 5, 5, 5), (5, 15, 15, 15), 0.0015),
        (0.99, (0, 0, 0, 0), (0, 0, 100, 100), 0.00398),
        (0.99, (0, 0, 0, 0), (0, 0, 0, 5), 0.004),
        (0.5, (7, 7, 7, 7), (7, 7, 7, 7), None),
        (0.5, (9, 9, 9, 9), (1, 1, 1, 10), None),
    ],
)
def test_quantiles_are_those_of_what_came_between(
    call: Callable[..., Any], q: float, before: tuple[int, ...], after: tuple[int, ...], quantile: float | None
) -> None:
    found = call("rates.js", "quantile", q, buckets(*before), buckets(*after))
    assert found == (quantile if quantile is None else pytest.approx(quantile))


def test_without_a_histogram_there_is_no_quantile(call: Callable[..., Any]) -> None:
    assert call("rates.js", "quantile", 0.5, None, buckets(1, 2, 3, 4)) is None
