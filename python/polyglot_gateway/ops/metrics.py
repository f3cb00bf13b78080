"""Metrics in the formats of Prometheus.

The counters live in the segment that all workers share, so any worker answers for all of them, and nothing is lost when
one dies; prometheus-client only writes them out. Breakers alone are each worker's own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from polyglot_gateway.ops.meters import Meters

_REFUSED = "refused."

_EVERY = 4
"""The core counts in quarters of a power of two; a scrape needs no more than the powers themselves."""


class Metrics:
    """Writes the meters out when they are asked for."""

    def __init__(self, meters: Meters, *, version: str, breaker: Callable[[], dict[str, Any]]) -> None:
        """Tell of `meters`, and of what `breaker` gives, as `Processor.breaker` does."""
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_MetersCollector(meters, version, breaker))

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics in the format that `accept` (an Accept header) asks for, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _MetersCollector(Collector):
    def __init__(self, meters: Meters, version: str, breaker: Callable[[], dict[str, Any]]) -> None:
        self._meters = meters
        self._version = version
        self._breaker = breaker

    def describe(self) -> Iterable[Metric]:
        return ()  # what there is to say comes from the meters; nothing is asked of them when this is registered

    def collect(self) -> Iterable[Metric]:
        build = GaugeMetricFamily("polyglot_build_info", "Always 1; the label is the version.", labels=["version"])
        build.add_metric([self._version], 1)
        yield build
        refused = CounterMetricFamily(
            "polyglot_refused", "Requests and events refused, by error code.", labels=["code"]
        )
        for name, total in self._meters.counters().items():
            if name.startswith(_REFUSED):
                refused.add_metric([name.removeprefix(_REFUSED)], total)
            else:
                yield CounterMetricFamily(f"polyglot_{name}", f"{_words(name)}, of all workers.", total)
        yield refused
        for operation, (bounds, counts, total_seconds) in self._meters.latencies().items():
            yield _histogram(operation, bounds, counts, total_seconds)
        for name, value in self._meters.segment().items():
            yield GaugeMetricFamily(f"polyglot_segment_{name}", f"{_words(name)} of the segment.", value)
        for name, value in self._meters.spool().items():
            yield GaugeMetricFamily(f"polyglot_spool_{name}", f"{_words(name)} that wait for the engine.", value)
        if endpoints := self._breaker().get("endpoints"):
            yield _breakers(endpoints)


def _histogram(operation: str, bounds: list[float], counts: list[int], seconds: float) -> Metric:
    totals = list(accumulate(counts))
    buckets = [(repr(bounds[i]), float(totals[i])) for i in range(0, len(bounds), _EVERY)]
    buckets.append(("+Inf", float(totals[-1])))
    name = f"polyglot_{operation}_seconds"
    return HistogramMetricFamily(name, f"Time of a {operation} inside the gateway.", buckets=buckets, sum_value=seconds)


def _breakers(endpoints: list[dict[str, Any]]) -> Metric:
    # Several may have the same name: it holds no path, in which there could be a secret.
    found = Counter((endpoint["endpoint"], endpoint["state"]) for endpoint in endpoints)
    family = GaugeMetricFamily(
        "polyglot_processor_breakers",
        "Breakers before the processor, by endpoint and state, of the worker that answers.",
        labels=["endpoint", "state"],
    )
    for endpoint in dict.fromkeys(endpoint["endpoint"] for endpoint in endpoints):
        for state in ("closed", "open", "half_open"):
            family.add_metric([endpoint, state], found[endpoint, state])
    return family


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()
