"""What docs/history.md says about sizes: that much is needed, and no more."""

import json
import shutil

import pytest

from polyglot_gateway import _core
from polyglot_gateway.engine.embedded import EmbeddedEngine

CHANNELS = 10_000
EVENTS = 1000
EVENT = b'{"type": "message", "data": {"text": "Hello, everybody in this room; the meeting begins at noon, today."}}'
PAGE = 4096


def round_up(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def bit_ceil(number: int) -> int:
    return 1 << (number - 1).bit_length()


def file_bytes(history_size: int, history_bytes: int, max_channels: int, idempotency_keys: int) -> int:
    """The formula of docs/history.md, each part rounded up to a page."""
    parts = [
        PAGE,
        64 * 3 * PAGE,
        5632,
        max_channels * 352,
        bit_ceil(2 * max_channels) * 4,
        max_channels * bit_ceil(history_size + 1) * 8,
        idempotency_keys * 64,
        history_bytes,
    ]
    return sum(round_up(part, PAGE) for part in parts)


def event_bytes(envelope: bytes) -> int:
    """What an event takes in the log, after docs/history.md."""
    return round_up(48 + len(envelope), 8)


@pytest.mark.parametrize(
    "sizes",
    [
        {"history_size": 1000, "history_bytes": 8 << 20, "max_channels": 100, "idempotency_keys": 1000},
        {"history_size": 1023, "history_bytes": (1 << 20) + 1, "max_channels": 333, "idempotency_keys": 1},
        {"history_size": 1024, "history_bytes": 1 << 20, "max_channels": 512, "idempotency_keys": 65_536},
    ],
)
def test_the_file_has_the_size_that_was_said(tmp_path, sizes):
    engine = EmbeddedEngine(str(tmp_path), **sizes)
    status = (tmp_path / "history.pgs").stat()
    assert status.st_size == engine.segment()["file_bytes"] == file_bytes(**sizes)
    assert status.st_blocks * 512 >= status.st_size, "its blocks are reserved"
    engine.close()


def test_an_event_takes_what_was_said(tmp_path):
    engine = EmbeddedEngine(str(tmp_path), history_bytes=1 << 20, max_channels=10)
    said = 0
    for n in range(1500):
        ack = engine.publish("demo", "room", b'{"type":"message","data":"%s"}' % (b"x" * (n % 50)))
        said += event_bytes(engine.read("demo", "room", ack.offset - 1).events[0][1])
    assert engine.segment()["log_used"] == said
    engine.close()


@pytest.mark.slow
def test_ten_thousand_channels_of_a_thousand_events_fit(tmp_path):
    names = [f"channel-{n:04}" for n in range(CHANNELS)]
    probe = EmbeddedEngine(str(tmp_path / "probe"), history_bytes=1 << 20, max_channels=10)
    for _ in range(EVENTS):
        probe.publish("demo", names[0], EVENT)
    largest = max(event_bytes(envelope) for _, envelope in probe.read("demo", names[0], 0, limit=EVENTS).events)
    probe.close()

    sizes = {"history_size": EVENTS, "max_channels": CHANNELS, "idempotency_keys": 1000}
    # An event never wraps, so at the end of the log there may be a rest in which one more does not fit.
    sizes["history_bytes"] = round_up(CHANNELS * EVENTS * largest + PAGE, PAGE)
    wanted = file_bytes(**sizes)
    free = shutil.disk_usage(tmp_path).free
    assert free > wanted + (64 << 20), f"{tmp_path} has {free} bytes free; this test needs {wanted} (pytest --basetemp)"
    path = tmp_path / "full" / "history.pgs"
    try:
        fill_and_read(EmbeddedEngine(str(path.parent), **sizes), names)
        assert path.stat().st_size == wanted
    finally:
        path.unlink(missing_ok=True)


def fill_and_read(engine: EmbeddedEngine, names: list[str]) -> None:
    rule = _core.ChannelRule(history_size=EVENTS)
    engine.configure(_core.Access(development=True), _core.Rules(rule))
    # Events of a channel lie far apart, as they do when all channels are busy.
    for start in range(0, CHANNELS, 100):
        event = b",".join(b'{"channel":"%s",' % name.encode() + EVENT[1:] for name in names[start : start + 100])
        batch = b'{"events":[' + b",".join([event] * 10) + b"]}"
        for _ in range(EVENTS // 10):
            reply = engine.publish_batch("demo", batch)
            assert b'"code"' not in reply
    assert engine.counters()["publishes"] == CHANNELS * EVENTS
    assert engine.counters()["evictions"] == 0
    expected = list(range(1, EVENTS + 1))
    for name in names:
        events: list[tuple[int, bytes]] = []
        while (page := engine.read("demo", name, len(events), limit=EVENTS)).events:
            assert page.gap is None
            events += page.events
        assert [offset for offset, _ in events] == expected
        assert all(envelope.endswith(b'"offset":%d}' % offset) for offset, envelope in events)
    for name in names[:: CHANNELS // 20]:
        reply = json.loads(engine.history("demo", name, EVENTS))
        assert {(event["channel"], event["data"]["text"]) for event in reply["events"]} == {
            (name, json.loads(EVENT)["data"]["text"])
        }
        assert len({event["id"] for event in reply["events"]}) == EVENTS
    assert engine.segment()["log_used"] <= engine.segment()["log_bytes"]
    engine.close()
