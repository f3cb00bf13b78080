"""What the engine does beyond its contract, which tests/contract/engine holds it to."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.mirrors import Worker
from tests.redis_server import RedisServer

from polyglot_gateway.errors import EngineDown


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
