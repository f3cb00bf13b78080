"""Metrics in the formats of Prometheus.

The figures live in the segment that all workers share, so any worker answers for all of them, and no total is lost when
one dies; prometheus-client only writes them out. docs/metrics.md says what each metric means.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from polyglot_gateway.ops.meters import Meters

OTHER_APPS = "other"
"""The label of all apps that have no counters of their own."""

_REFUSED = "refused."
_RESPONSES = "responses_"

_EVERY = 4
"""The core counts in quarters of a power of two; a scrape needs no more than the powers themselves."""

_COUNTERS = {
    "publishes": "Events acknowledged to publishers, repetitions not included.",
    "publish_bytes": "Bytes of their envelopes.",
    "deliveries": "Events sent to subscribers, once for each.",
    "delivery_bytes": "Bytes sent for them, with their frames.",
    "replays": "Acknowledgements given again for an idempotency key.",
    "history_reads": "History replies.",
    "follower_reads": "Pages read from history for subscribers.",
    "gaps": "Gaps told to readers: events they asked for that are gone.",
    "feed_overruns": "Workers that fell further behind than the log reaches.",
    "wakes": "Sleeping workers woken.",
    "repairs": "States repaired that a dead worker left half done.",
    "evictions": "Channels evicted to make room for others.",
    "forgets": "Pasts of channels forgotten on request.",
    "slow_readers": "Sockets closed because they read too slowly.",
    "spooled": "Events acknowledged that had to wait on this host for Redis.",
    "forwarded": "Of these, those that Redis has got.",
    "spool_full": "Events refused because no more can wait.",
    "worker_starts": "Workers that began to serve.",
}
_BY_APP = ("publishes", "publish_bytes", "deliveries", "delivery_bytes")
_LATENCIES = {
    "publish": ("publish_seconds", "Time from a publish request until it can be answered."),
    "history": ("history_seconds", "Time to make a history reply."),
    "delivery": ("delivery_lag_seconds", "Time from an event's own until it was given to a subscriber's socket."),
    "processor": ("processor_call_seconds", "Time of a call to the processor."),
    "append": ("redis_append_seconds", "Time from sending events to Redis until it has answered."),
}
_SEGMENT = {
    "log_used": ("used_bytes", "Bytes of the log that hold something."),
    "log_bytes": ("size_bytes", "Bytes of the log; when it is full, new events take the place of the oldest."),
    "channels": ("channels", "Channels that have a history."),
    "max_channels": ("max_channels", "Most channels that can have one."),
    "idempotency_keys": ("max_idempotency_keys", "Most idempotency keys that are remembered."),
    "file_bytes": ("file_bytes", "Bytes of the history file."),
    "oldest": ("oldest_timestamp_seconds", "Time of the oldest event in the log; 0 when there is none."),
}
_KINDS = {True: ("websocket", "sse", "longpoll", "http"), False: ("sse",)}
_STATES = ("closed", "open", "half_open")


class Metrics:
    """Writes the meters out when they are asked for."""

    def __init__(
        self, meters: Meters, *, version: str, ready: Callable[[], list[str]], is_native: Callable[[], bool]
    ) -> None:
        """Tell of `meters`.

        Args:
            meters: The figures.
            version: Of the gateway.
            ready: Why this worker cannot serve, one sentence each.
            is_native: Whether the native server knows all connections.
        """
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_MetersCollector(meters, version, ready, is_native))

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics in the format that `accept` (an Accept header) asks for, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _MetersCollector(Collector):
    def __init__(
        self, meters: Meters, version: str, ready: Callable[[], list[str]], is_native: Callable[[], bool]
    ) -> None:
        self._meters = meters
        self._version = version
        self._ready = ready
        self._is_native = is_native

    def describe(self) -> Iterable[Metric]:
        return ()  # what there is to say comes from the meters; nothing is asked of them when this is registered

    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily("polyglot_build_info", "Always 1; the label is the version.", labels=["version"])
        build.add_metric([self._version], 1)
        yield build
        yield from self._totals()
        yield from self._by_app()
        for stage, (bounds, counts, seconds) in self._meters.latencies().items():
            name, text = _LATENCIES[stage]
            yield _histogram(name, text, bounds, counts, seconds)
        yield from self._present()
        segment = self._meters.segment()
        for figure, (name, text) in _SEGMENT.items():
            yield GaugeMetricFamily(f"polyglot_segment_{name}", text, segment[figure])
        for name, value in self._meters.spool().items():
            yield GaugeMetricFamily(f"polyglot_spool_{name}", f"{name.capitalize()} that wait for Redis.", value)

    def _totals(self) -> Iterator[Metric]:
        refused = CounterMetricFamily(
            "polyglot_refused", "Requests and events refused, by error code.", labels=["code"]
        )
        responses = CounterMetricFamily(
            "polyglot_responses", "HTTP responses, by class of their status.", labels=["status"]
        )
        for name, total in self._meters.counters().items():
            if name.startswith(_REFUSED):
                refused.add_metric([name.removeprefix(_REFUSED)], total)
            elif name.startswith(_RESPONSES):
                responses.add_metric([name.removeprefix(_RESPONSES)], total)
            else:
                yield CounterMetricFamily(f"polyglot_{name}", _COUNTERS[name], total)
        yield refused
        yield responses

    def _by_app(self) -> Iterator[Metric]:
        apps = self._meters.apps()
        for name in _BY_APP:
            totals: Counter[str] = Counter()  # an app may have the name of the others
            for app, counters in apps.items():
                totals[app or OTHER_APPS] += counters[name]
            family = CounterMetricFamily(f"polyglot_app_{name}", f"By app: {_COUNTERS[name]}", labels=["app"])
            for app, total in totals.items():
                family.add_metric([app], total)
            yield family

    def _present(self) -> Iterator[Metric]:
        """What there is at the moment, of all workers that live."""
        gauges = self._meters.gauges()
        connections = GaugeMetricFamily("polyglot_connections", "Open connections, by kind.", labels=["kind"])
        for kind in _KINDS[self._is_native()]:
            connections.add_metric([kind], gauges[kind])
        yield connections
        breakers = GaugeMetricFamily(
            "polyglot_processor_breakers", "Breakers before the processor, of all workers, by state.", labels=["state"]
        )
        for state in _STATES:
            breakers.add_metric([state], gauges[f"breakers_{state}"])
        yield breakers
        for name, text, value in (
            ("subscriptions", "Readers of channels, once for each channel that one reads.", gauges["subscriptions"]),
            ("queue_bytes", "Bytes that wait until subscribers take them.", gauges["queue_bytes"]),
            ("engine_up", "1 when all workers reach what keeps the events.", not gauges["engine_down"]),
            ("processor_up", "1 when a processor would take events from all workers.", not gauges["processor_down"]),
            ("ready", "1 when the worker that answers can serve, as /ready says.", not self._ready()),
            ("workers", "Workers that serve.", gauges["workers"]),
            ("start_time_seconds", "When the oldest of these began to.", gauges["started"]),
        ):
            yield GaugeMetricFamily(f"polyglot_{name}", text, value)


def _histogram(name: str, text: str, bounds: list[float], counts: list[int], seconds: float) -> Metric:
    totals = list(accumulate(counts))
    buckets = [(repr(bounds[i]), float(totals[i])) for i in range(0, len(bounds), _EVERY)]
    buckets.append(("+Inf", float(totals[-1])))
    return HistogramMetricFamily(f"polyglot_{name}", text, buckets=buckets, sum_value=seconds)
