from typing import Any

from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.ops.vitals import Vitals


def vitals(embedded: EmbeddedEngine, **given: Any) -> Vitals:
    well: dict[str, Any] = {"engine": list, "processor": list, "breaker": dict, "streams": lambda: None}
    return Vitals(embedded.gateway.set_gauge, **{**well, **given})


def test_a_worker_that_is_well_says_since_when(engine: EmbeddedEngine) -> None:
    assert engine.gauges()["workers"] == 0
    vitals(engine).tell()
    told = engine.gauges()
    assert told["workers"] == 1
    assert told["started"] > 1_700_000_000
    assert (told["engine_down"], told["processor_down"]) == (0, 0)


def test_what_cannot_be_reached_is_said_until_it_can(engine: EmbeddedEngine) -> None:
    reasons = ["It is gone."]
    worker = vitals(engine, engine=lambda: reasons, processor=lambda: reasons)
    worker.tell()
    assert (engine.gauges()["engine_down"], engine.gauges()["processor_down"]) == (1, 1)
    reasons.clear()
    worker.tell()
    assert (engine.gauges()["engine_down"], engine.gauges()["processor_down"]) == (0, 0)


def test_breakers_are_counted_by_state(engine: EmbeddedEngine) -> None:
    endpoints = [{"state": "open"}, {"state": "open"}, {"state": "half_open"}]
    worker = vitals(engine, breaker=lambda: {"endpoints": endpoints})
    worker.tell()
    told = engine.gauges()
    assert (told["breakers_closed"], told["breakers_open"], told["breakers_half_open"]) == (0, 2, 1)
    endpoints[:] = [{"state": "closed"}]
    worker.tell()
    told = engine.gauges()
    assert (told["breakers_closed"], told["breakers_open"], told["breakers_half_open"]) == (1, 0, 0)


def test_streams_are_told_only_where_python_serves_them(engine: EmbeddedEngine) -> None:
    engine.gateway.set_gauge("sse", 7)
    vitals(engine).tell()
    assert engine.gauges()["sse"] == 7
    vitals(engine, streams=lambda: 3).tell()
    assert (engine.gauges()["sse"], engine.gauges()["subscriptions"]) == (3, 3)


def test_nothing_is_said_once_the_engine_is_closed(engine: EmbeddedEngine) -> None:
    worker = vitals(engine)
    engine.close()
    worker.tell()
