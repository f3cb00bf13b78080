"""What the processor's workers have done together, for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from polyglot_gateway.processor.base import Verdict
from polyglot_gateway.processor.problems import PROBLEMS
from polyglot_gateway.processor.shared_record import SharedRecord

PROTOCOLS = ("http", "grpc")
_KINDS = ("accept", "replace", "reject")
_BOUNDS = tuple(0.0001 * 4**n for n in range(9))  # 0.1 ms to 6.6 s

_RECORD = np.dtype(
    [
        *((f"calls.{protocol}", "i8") for protocol in PROTOCOLS),
        ("events", "i8"),
        *((f"verdicts.{kind}", "i8") for kind in _KINDS),
        *((f"failures.{code}", "i8") for code in PROBLEMS),
        ("seconds", "f8"),
        ("durations", "i8", len(_BOUNDS) + 1),
    ]
)


class Meters(Collector):
    """Counts calls, events, verdicts, failures, and how long the function takes.

    Make it before the workers are forked; then any of them counts, and any tells of all. Thread safe.
    """

    def __init__(self) -> None:
        self._record = SharedRecord(_RECORD)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def called(self, protocol: str, events: int) -> None:
        """Count a call with events that is handed to the function."""
        with self._record.locked() as record:
            record[f"calls.{protocol}"] += 1
            record["events"] += events

    def answered(self, verdicts: Sequence[Verdict], seconds: float) -> None:
        """Count what the function gave, and how long it took."""
        kinds = Counter(verdict.kind for verdict in verdicts)
        with self._record.locked() as record:
            for kind, count in kinds.items():
                record[f"verdicts.{kind}"] += count
            record["seconds"] += seconds
            record["durations"][np.searchsorted(_BOUNDS, seconds)] += 1

    def failed(self, code: str) -> None:
        """Count a request that was answered with this error."""
        with self._record.locked() as record:
            record[f"failures.{code}"] += 1

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return all figures in the format that `accept` (an Accept header) asks for, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def collect(self) -> Iterable[Metric]:
        """All figures, for prometheus-client."""
        record = self._record.copy()
        yield _by_label(record, "calls", "Calls that reached the function.", "protocol")
        yield CounterMetricFamily("polyglot_processor_events", "Events in them.", int(record["events"]))
        yield _by_label(record, "verdicts", "Verdicts that the function gave.", "kind")
        yield _by_label(record, "failures", "Requests that were answered with an error.", "code")
        totals = list(accumulate(map(int, record["durations"])))
        buckets = [(repr(bound), float(total)) for bound, total in zip([*_BOUNDS, "+Inf"], totals, strict=True)]
        buckets[-1] = ("+Inf", buckets[-1][1])
        yield HistogramMetricFamily(
            "polyglot_processor_seconds",
            "Time of a call in the function.",
            buckets=buckets,
            sum_value=record["seconds"],
        )


def _by_label(record: Any, name: str, text: str, label: str) -> Metric:
    family = CounterMetricFamily(f"polyglot_processor_{name}", text, labels=[label])
    for field in record.dtype.names:
        group, _, value = field.partition(".")
        if group == name and value:
            family.add_metric([value], int(record[field]))
    return family
