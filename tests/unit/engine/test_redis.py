"""What the engine does beyond its contract, which tests/contract/engine holds it to."""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.mirrors import Worker
from tests.redis_server import RedisServer

from polyglot_gateway import _core
from polyglot_gateway.errors import EngineDown, InvalidParameter

KEEP = 2600
"""Most events of a channel that Redis keeps for `keeper`, and that count there."""


def test_while_redis_is_away_history_is_answered_from_a_copy_that_has_all(
    redis: RedisServer, worker: Worker, publisher: Worker
) -> None:
    publisher.publish(*range(10))
    publisher.publish("elsewhere", channel="hall")
    worker.follow(since=4)
    worker.follow("hall")
    read = partial(worker.engine.history, "demo", "room")
    asked: list[dict[str, Any]] = [
        {"limit": 6},
        {"limit": 2, "reverse": True},
        {"since": 4},
        {"since": 7, "until": 8, "epoch": worker.stands()[0]},
        {"since": 10},
        {"limit": 1, "until": 6},
    ]
    before = [read(**one) for one in asked]
    redis.kill()
    assert [read(**one) for one in asked] == before
    lacking: list[dict[str, Any]] = [
        {"limit": 7},
        {"since": 3},
        {"since": 11},
        {"since": 5, "epoch": "0" * 16},
        {"limit": 2, "until": 5},
    ]
    for one in lacking:
        with pytest.raises(EngineDown):
            read(**one)
    with pytest.raises(EngineDown):
        worker.engine.history("demo", "hall", limit=1)  # it began behind what was there
    with pytest.raises(EngineDown):
        publisher.engine.history("demo", "room", since=9)  # nobody there follows it


def test_a_copy_that_had_to_make_room_is_no_empty_history(
    redis: RedisServer, publisher: Worker, tmp_path: Path
) -> None:
    worker = Worker(redis.url, tmp_path / "small", max_channels=2)
    try:
        for channel in ("room", "hall", "loft"):
            publisher.publish(1, channel=channel)
            worker.follow(channel, since=0)
        assert not worker.here.holds("demo", "room")
        redis.kill()
        assert b'"count":1' in worker.engine.history("demo", "loft")
        for since in (None, 0):
            with pytest.raises(EngineDown):
                worker.engine.history("demo", "room", since=since)
    finally:
        worker.close()


@pytest.fixture
def keeper(hire: Callable[..., Worker]) -> Worker:
    """Reads more of a channel than is asked for at a time to make columns of it."""
    worker = hire(keep=KEEP)
    rule = _core.ChannelRule(history_size=KEEP)
    worker.engine.configure(_core.Access(development=True), _core.Rules(rule))
    return worker


def test_columns_are_read_in_pages(keeper: Worker) -> None:
    keeper.publish(*range(1, 2501))
    columns = keeper.engine.columns("demo", "room", [""])
    assert columns.offsets.tolist() == columns.fields[""].tolist() == list(range(1, 2501))
    assert columns.begin == 0
    keeper.publish(*["x" * 50_000] * 100)  # these are more than a page by their bytes
    large = keeper.engine.columns("demo", "room")
    assert large.offsets.tolist() == list(range(1, 2601))
    assert (large.sizes[2500:] > 50_000).all()


# Of the large events a few hundred fill a page, so that a thousand more go round what is read.
@pytest.mark.parametrize(("together", "size"), [(1000, 4000), (50, 1)])
def test_columns_are_whole_while_others_write(
    keeper: Worker, hire: Callable[..., Worker], together: int, size: int
) -> None:
    publisher = hire("elsewhere", keep=KEEP)
    done = threading.Event()
    text = "x" * size

    def write() -> None:
        last = 0
        while not done.is_set():
            publisher.publish(*({"n": number, "text": text} for number in range(last + 1, last + together + 1)))
            last += together

    writer = threading.Thread(target=write)
    writer.start()
    try:
        newest = 0
        while newest < 15_000:
            columns = keeper.engine.columns("demo", "room", ["/n"])
            assert len(columns.offsets) <= KEEP
            if len(columns.offsets):
                assert columns.fields["/n"].tolist() == columns.offsets.tolist()
                assert (np.diff(columns.offsets) == 1).all()
                newest = int(columns.offsets[-1])
    finally:
        done.set()
        writer.join()


def test_while_redis_is_away_there_are_no_columns(redis: RedisServer, worker: Worker) -> None:
    worker.publish(1)
    redis.kill()
    with pytest.raises(InvalidParameter):
        worker.engine.columns("demo", "room", ["price"])
    with pytest.raises(EngineDown):
        worker.engine.columns("demo", "room")
