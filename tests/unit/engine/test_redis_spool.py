import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.serving import wait_until

from polyglot_gateway import _core
from polyglot_gateway.engine.redis_spool import SYNC_SECONDS, Spool
from polyglot_gateway.errors import EngineDown, EngineUnavailable, IdempotencyMismatch, StorageUnusable

ALL = 1 << 30
LAYOUT = _core.RedisLayout(prefix="p", function="append", history_size=100, keep_ms=60_000)
DOWN = EngineDown("Redis does not answer.")
Publish = Callable[..., Any]


@pytest.fixture
def gateway(tmp_path: Path) -> _core.Gateway:
    return _core.Gateway(str(tmp_path / "data"), history_bytes=1 << 20, max_channels=10)


@pytest.fixture
def open_spool(tmp_path: Path, gateway: _core.Gateway) -> Iterator[Callable[..., Spool]]:
    opened: list[Spool] = []

    def run(most_bytes: int = 1 << 20, durability: str = "process") -> Spool:
        opened.append(Spool(gateway, tmp_path / "data" / "spool", most_bytes=most_bytes, durability=durability))
        return opened[-1]

    yield run
    for one in opened:
        one.close()


@pytest.fixture
def spool(open_spool: Callable[..., Spool]) -> Spool:
    return open_spool()


@pytest.fixture
def publish(gateway: _core.Gateway) -> Publish:
    """The acknowledgement of an event that goes into the spool."""

    def run(spool: Spool, data: Any, key: str = "", *, unknown: bool = False) -> Any:
        submission = gateway.prepare("demo", "room", json.dumps({"type": "t", "data": data}).encode(), key)
        spool.take(_core.AppendCalls(gateway, LAYOUT, [submission]), [0], DOWN, unknown=unknown)
        return submission.ack()

    return run


def data(spool: Spool) -> list[Any]:
    return [json.loads(record.envelope + b"1}")["data"] for _, record in spool.file.read(10_000, ALL)]


def test_what_is_taken_waits_in_order(spool: Spool, publish: Publish, gateway: _core.Gateway) -> None:
    acks = [publish(spool, number, unknown=number == 0) for number in range(5)]
    assert data(spool) == list(range(5))
    assert [record.unknown for _, record in spool.file.read(10, ALL)] == [True] + [False] * 4
    for ack in acks:
        assert (ack.spooled, ack.offset, ack.epoch, ack.replayed) == (True, 0, "", False)
        assert json.loads(ack.body) == {"id": ack.id, "timestamp": ack.timestamp, "spooled": True}
    assert [record.envelope[7:37].decode() for _, record in spool.file.read(10, ALL)] == [ack.id for ack in acks]
    assert spool.figures()["events"] == 5
    assert gateway.counters()["spooled"] == 5


def test_nothing_overtakes_what_waits(spool: Spool, publish: Publish, gateway: _core.Gateway) -> None:
    submission = gateway.prepare("demo", "other", b'{"type":"t","data":2}')
    calls = _core.AppendCalls(gateway, LAYOUT, [submission])
    assert not spool.take_behind(calls)
    publish(spool, 1)
    assert spool.take_behind(calls)
    assert submission.ack().spooled
    assert data(spool) == [1, 2]


def test_a_key_is_known_while_its_event_waits(spool: Spool, publish: Publish, gateway: _core.Gateway) -> None:
    first = publish(spool, 1, "key")
    again = publish(spool, 1, "key")
    assert again == first._replace(replayed=True)
    with pytest.raises(IdempotencyMismatch):
        publish(spool, 2, "key")
    assert publish(spool, 2, "other").id != first.id
    assert data(spool) == [1, 2]
    assert gateway.counters()["spooled"] == 2
    spool.done(spool.file, spool.file.size, 2)
    assert not publish(spool, 3, "key").replayed, "from now on Redis knows it"


def test_a_key_that_comes_twice_together_is_taken_once(spool: Spool, gateway: _core.Gateway) -> None:
    body = b'{"type":"t","data":1}'
    both = [gateway.prepare("demo", "room", body, "key") for _ in range(2)]
    spool.take(_core.AppendCalls(gateway, LAYOUT, both), [0], DOWN, unknown=False)
    first, second = (submission.ack() for submission in both)
    assert (second.id, first.replayed, second.replayed) == (first.id, False, True)
    assert data(spool) == [1]


def test_beyond_its_bound_events_are_refused_and_none_overtakes_them(
    open_spool: Callable[..., Spool], publish: Publish, gateway: _core.Gateway
) -> None:
    spool = open_spool(1000)
    events = [{"channel": "room", "type": "t", "data": "x" * size} for size in (10, 10, 2000, 1)]
    submission = gateway.prepare_batch("demo", json.dumps({"events": events}).encode(), False, "key")
    spool.take(_core.AppendCalls(gateway, LAYOUT, [submission]), [0], DOWN, unknown=False)
    results = json.loads(submission.results())["results"]
    assert ["spooled" in result for result in results] == [True, True, False, False]
    assert results[2]["code"] == "engine_unavailable"
    assert results[2]["error"] == "Redis does not answer. The spool is full."
    assert gateway.counters()["spool_full"] == 2
    assert len(data(spool)) == 2
    assert spool.trouble() == "The spool is full."
    with contextlib.suppress(EngineUnavailable):
        while publish(spool, "y"):
            pass
    assert spool.file.size <= 1000
    spool.done(spool.file, spool.file.size, spool.file.events)
    assert spool.trouble() == ""
    assert publish(spool, "z").spooled


def test_what_cannot_be_written_is_refused(spool: Spool, publish: Publish, gateway: _core.Gateway) -> None:
    publish(spool, 1, "before")
    spool.file.close()
    both = [gateway.prepare("demo", "room", b'{"type":"t","data":2}', "key") for _ in range(2)]
    spool.take(_core.AppendCalls(gateway, LAYOUT, both), [0], DOWN, unknown=False)
    for submission in both:
        with pytest.raises(EngineUnavailable, match="cannot be written"):
            submission.ack()
    assert "cannot be written" in spool.trouble()
    assert gateway.counters()["spool_full"] == 2
    assert gateway.counters()["spooled"] == 1


def test_there_has_to_be_a_folder(tmp_path: Path, gateway: _core.Gateway) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnusable, match="spool"):
        Spool(gateway, tmp_path / "file" / "spool", most_bytes=1000, durability="process")


@pytest.mark.parametrize(("durability", "syncs"), [("process", 0), ("interval", 0), ("sync", 1)])
def test_an_acknowledgement_waits_for_the_disk_as_the_setting_says(
    open_spool: Callable[..., Spool],
    publish: Publish,
    monkeypatch: pytest.MonkeyPatch,
    durability: str,
    syncs: int,
) -> None:
    done: list[int] = []
    spool = open_spool(durability=durability)
    monkeypatch.setattr("os.fdatasync", done.append)
    assert publish(spool, 1).spooled
    assert len(done) == syncs
    if durability == "interval":
        wait_until(lambda: done, f"the disk to have it within {SYNC_SECONDS} s")
