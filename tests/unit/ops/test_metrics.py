import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.peers import event

from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.errors import ProcessorUnavailable
from polyglot_gateway.ops.metrics import Metrics
from polyglot_gateway.processor.base import UNBROKEN
from polyglot_gateway.processor.open import open_processor


def samples(
    engine: EmbeddedEngine, breaker: Callable[[], dict[str, Any]] = UNBROKEN.copy
) -> dict[tuple[str, ...], float]:
    body, content_type = Metrics(engine, version="1.2.3", breaker=breaker).exposition("*/*")
    assert content_type.startswith("text/plain")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_publishes_and_refusals_are_told(engine: EmbeddedEngine) -> None:
    for _ in range(3):
        engine.publish("demo", "room", b'{"type":"t","data":1}')
    engine.count_refused("unauthorized")
    told = samples(engine)
    assert told["polyglot_publishes_total",] == 3
    assert told["polyglot_refused_total", "unauthorized"] == 1
    assert told["polyglot_segment_channels",] == 1
    assert told["polyglot_build_info", "1.2.3"] == 1


def test_latencies_are_histograms_that_add_up(engine: EmbeddedEngine) -> None:
    for _ in range(5):
        engine.publish("demo", "room", b'{"type":"t","data":1}')
    told = samples(engine)
    buckets = [(key[1], value) for key, value in told.items() if key[0] == "polyglot_publish_seconds_bucket"]
    assert buckets[-1] == ("+Inf", 5)
    assert [value for _, value in buckets] == sorted(value for _, value in buckets)
    bounds = [float(bound) for bound, _ in buckets]
    assert bounds == sorted(set(bounds))
    assert told["polyglot_publish_seconds_count",] == 5
    assert told["polyglot_publish_seconds_sum",] > 0


def test_every_counter_of_the_engine_is_there(engine: EmbeddedEngine) -> None:
    names = {key[0] for key in samples(engine)}
    for counter in engine.counters():
        assert (
            f"polyglot_{counter}_total" if not counter.startswith("refused.") else "polyglot_refused_total"
        ) in names
    for figure in engine.segment():
        assert f"polyglot_segment_{figure}" in names


def test_several_can_be_read_in_one_process(engine: EmbeddedEngine) -> None:
    assert samples(engine).keys() == samples(engine).keys()


def test_what_waits_for_the_engine_is_told(engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "polyglot_spool_events" not in {key[0] for key in samples(engine)}
    monkeypatch.setattr(engine, "spool", lambda: {"events": 2, "bytes": 99})
    engine.gateway.count("spooled", 3)
    told = samples(engine)
    assert (told["polyglot_spool_events",], told["polyglot_spool_bytes",]) == (2, 99)
    assert told["polyglot_spooled_total",] == 3
    with pytest.raises(KeyError):
        engine.gateway.count("unheard of", 1)


def test_the_breakers_of_this_worker_are_told_by_endpoint_and_state(engine: EmbeddedEngine) -> None:
    assert "polyglot_processor_breakers" not in {key[0] for key in samples(engine)}
    urls = ["http://me:secret@127.0.0.1:1/a", "http://127.0.0.1:1/b"]  # the paths are no part of the name
    with contextlib.closing(open_processor("grpc", ["http://there"])) as untouched:
        told = samples(engine, untouched.breaker)
    assert told["polyglot_processor_breakers", "grpc://there:9090", "closed"] == 1
    assert told["polyglot_processor_breakers", "http://there:80", "closed"] == 1
    with contextlib.closing(open_processor("http", urls, breaker_failures=1)) as processor:
        with pytest.raises(ProcessorUnavailable):
            processor.process([event()])
        told = samples(engine, processor.breaker)
    found = {key[2]: value for key, value in told.items() if key[0] == "polyglot_processor_breakers"}
    assert found == {"closed": 0, "open": 2, "half_open": 0}
