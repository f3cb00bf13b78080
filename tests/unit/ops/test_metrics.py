import contextlib
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from polyglot_gateway import _core
from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.ops.metrics import Metrics

EVENT = b'{"type":"t","data":1}'
PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"


def exposed(engine: EmbeddedEngine, accept: str = "*/*", ready: Iterable[str] = (), native: bool = True) -> bytes:
    metrics = Metrics(engine, version="1.2.3", ready=lambda: list(ready), is_native=lambda: native)
    return metrics.exposition(accept)[0]


def samples(engine: EmbeddedEngine, **given: object) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(exposed(engine, **given).decode())
        for sample in family.samples
    }


def test_publishes_and_refusals_are_told(engine: EmbeddedEngine) -> None:
    for _ in range(3):
        engine.publish("demo", "room", EVENT)
    engine.count_refused("unauthorized")
    engine.gateway.count_response(503)
    told = samples(engine)
    assert told["polyglot_publishes_total",] == 3
    assert told["polyglot_refused_total", "unauthorized"] == 1
    assert told["polyglot_responses_total", "5xx"] == 1
    assert told["polyglot_segment_channels",] == 1
    assert told["polyglot_build_info", "1.2.3"] == 1


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("publish", "publish_seconds"),
        ("history", "history_seconds"),
        ("delivery", "delivery_lag_seconds"),
        ("processor", "processor_call_seconds"),
        ("append", "redis_append_seconds"),
    ],
)
def test_latencies_are_histograms_that_add_up(engine: EmbeddedEngine, stage: str, name: str) -> None:
    for seconds in (0.001, 0.01, 0.01, 0.5, 3600.0):
        engine.gateway.count_time(stage, seconds)
    told = samples(engine)
    buckets = [(key[1], value) for key, value in told.items() if key[0] == f"polyglot_{name}_bucket"]
    assert buckets[-1] == ("+Inf", 5)
    assert [value for _, value in buckets] == sorted(value for _, value in buckets)
    bounds = [float(bound) for bound, _ in buckets]
    assert bounds == sorted(set(bounds))
    assert [value for bound, value in buckets if 0.02 < float(bound) < 0.4] == [3.0] * 4
    assert told[f"polyglot_{name}_count",] == 5
    assert told[f"polyglot_{name}_sum",] == pytest.approx(3600.521)
    with pytest.raises(KeyError):
        engine.gateway.count_time("unheard of", 1.0)


def test_apps_are_told_apart_up_to_a_limit(engine: EmbeddedEngine) -> None:
    engine.publish("demo", "room", EVENT)
    engine.publish("demo", "room", EVENT)
    engine.gateway.count_delivered("demo", 5, 100)
    told = samples(engine)
    assert told["polyglot_app_publishes_total", "demo"] == told["polyglot_publishes_total",] == 2
    assert told["polyglot_app_deliveries_total", "demo"] == told["polyglot_deliveries_total",] == 5
    assert told["polyglot_app_delivery_bytes_total", "demo"] == told["polyglot_delivery_bytes_total",] == 100
    for number in range(80):
        engine.gateway.count_delivered(f"app{number}", 1, 1)
    told = samples(engine)
    apps = [key[1] for key in told if key[0] == "polyglot_app_deliveries_total"]
    assert len(apps) == 65
    assert told["polyglot_app_deliveries_total", "app0"] == 1
    assert told["polyglot_app_deliveries_total", "other"] == 80 - 63
    assert told["polyglot_deliveries_total",] == 85


def test_an_app_may_be_called_other(engine: EmbeddedEngine) -> None:
    engine.gateway.count_delivered("other", 3, 1)
    for number in range(64):
        engine.gateway.count_delivered(f"app{number}", 1, 1)
    assert samples(engine)["polyglot_app_deliveries_total", "other"] == 4


def test_what_there_is_at_the_moment_is_that_of_all_workers(engine: EmbeddedEngine, tmp_path: Path) -> None:
    sizes = {"history_size": 50, "history_bytes": 1 << 20, "max_channels": 100, "idempotency_keys": 1000}
    with contextlib.closing(_core.Gateway(str(tmp_path / "data"), **sizes)) as other:
        for worker, number in ((engine.gateway, 2), (other, 3)):
            for gauge in ("websocket", "sse", "longpoll", "http", "subscriptions", "queue_bytes", "breakers_open"):
                worker.set_gauge(gauge, number)
            worker.set_gauge("started", 1000 + number)
        other.set_gauge("engine_down", 1)
        told = samples(engine)
        assert [told["polyglot_connections", kind] for kind in ("websocket", "sse", "longpoll", "http")] == [5] * 4
        assert told["polyglot_subscriptions",] == told["polyglot_queue_bytes",] == 5
        assert told["polyglot_processor_breakers", "open"] == 5
        assert (told["polyglot_workers",], told["polyglot_start_time_seconds",]) == (2, 1002)
        assert (told["polyglot_engine_up",], told["polyglot_processor_up",]) == (0, 1)
    told = samples(engine)
    assert (told["polyglot_engine_up",], told["polyglot_connections", "http"]) == (1, 2)
    with pytest.raises(KeyError):
        engine.gateway.set_gauge("unheard of", 1)


def test_the_wsgi_server_tells_only_the_connections_that_it_knows(engine: EmbeddedEngine) -> None:
    assert [key[1] for key in samples(engine, native=False) if key[0] == "polyglot_connections"] == ["sse"]


def test_the_worker_that_answers_says_whether_it_is_ready(engine: EmbeddedEngine) -> None:
    assert samples(engine)["polyglot_ready",] == 1
    assert samples(engine, ready=["It stops."])["polyglot_ready",] == 0


def test_the_age_of_the_history_is_told(engine: EmbeddedEngine) -> None:
    assert samples(engine)["polyglot_segment_oldest_timestamp_seconds",] == 0
    engine.publish("demo", "room", EVENT)
    first = samples(engine)["polyglot_segment_oldest_timestamp_seconds",]
    assert first > 1_700_000_000
    engine.publish("demo", "room", EVENT)
    assert samples(engine)["polyglot_segment_oldest_timestamp_seconds",] == first


def test_several_can_be_read_in_one_process(engine: EmbeddedEngine) -> None:
    assert samples(engine).keys() == samples(engine).keys()


def test_what_waits_for_the_engine_is_told(engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "polyglot_spool_events" not in {key[0] for key in samples(engine)}
    monkeypatch.setattr(engine, "spool", lambda: {"events": 2, "bytes": 99})
    engine.gateway.count("spooled", 3)
    told = samples(engine)
    assert (told["polyglot_spool_events",], told["polyglot_spool_bytes",]) == (2, 99)
    assert told["polyglot_spooled_total",] == 3
    for name in ("unheard of", "publishes"):  # the latter is kept by app
        with pytest.raises(KeyError):
            engine.gateway.count(name, 1)


def test_openmetrics_has_the_same(engine: EmbeddedEngine) -> None:
    engine.publish("demo", "room", EVENT)
    body = exposed(engine, accept="application/openmetrics-text; version=1.0.0").decode()
    assert body.endswith("# EOF\n")
    told = {sample.name for family in openmetrics_families(body) for sample in family.samples}
    assert {key[0] for key in samples(engine)} == told


def test_the_page_lists_what_is_exposed_and_nothing_else(
    engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "spool", lambda: {"events": 0, "bytes": 0})
    listed = dict(re.findall(r"^\| `(polyglot_\w+)` \| (\w+) \|", PAGE.read_text(), re.MULTILINE))
    families = text_string_to_metric_families(exposed(engine).decode())
    told = {f.name + ("_total" if f.type == "counter" else ""): f.type for f in families}
    assert listed == told
