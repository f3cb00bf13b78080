import os

from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.ops.health import Health


def health(engine: EmbeddedEngine) -> Health:
    return Health(engine, engine.ready, version="1.2.3", environment="prod", engine="embedded")


def test_all_is_well(engine: EmbeddedEngine) -> None:
    report = health(engine).report()
    assert report.pop("uptime_seconds") >= 0
    assert report == {
        "status": "ok",
        "reasons": [],
        "version": "1.2.3",
        "env": "prod",
        "worker": os.getpid(),
        "engine": {"name": "embedded", "segment": engine.segment(), "notices": []},
    }


def test_it_says_how_full_the_segment_is(engine: EmbeddedEngine) -> None:
    before = health(engine).report()["engine"]["segment"]["channels"]
    engine.publish("demo", "room", b'{"type":"t","data":1}')
    assert health(engine).report()["engine"]["segment"]["channels"] == before + 1


def test_a_closed_engine_is_reported_not_raised(engine: EmbeddedEngine) -> None:
    engine.close()
    report = health(engine).report()
    assert report["status"] == "degraded"
    assert len(report["reasons"]) == 1
    assert report["engine"]["segment"] is None
