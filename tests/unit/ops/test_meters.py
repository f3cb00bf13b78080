from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.ops.meters import Meters


def test_the_embedded_engine_can_be_read_as_meters(engine: EmbeddedEngine) -> None:
    meters: Meters = engine
    engine.publish("demo", "room", b'{"type":"t","data":1}')
    assert meters.counters()["publishes"] == 1
    for bounds, counts, seconds in meters.latencies().values():
        assert bounds == sorted(bounds)
        assert len(counts) == len(bounds) + 1
        assert seconds >= 0
    assert {"channels", "max_channels", "log_bytes", "log_used"} <= set(meters.segment())
    assert meters.notices() == []
