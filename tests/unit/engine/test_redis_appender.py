import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.redis_server import RedisServer
from tests.serving import wait_until

from polyglot_gateway import _core
from polyglot_gateway.engine.redis_appender import RedisAppender
from polyglot_gateway.engine.redis_keys import RedisKeys
from polyglot_gateway.engine.redis_link import LIBRARY, RedisLink
from polyglot_gateway.errors import EngineDown, EngineUnavailable

Prepare = Callable[..., _core.Submission]


@pytest.fixture
def gateway(tmp_path: Path) -> _core.Gateway:
    return _core.Gateway(str(tmp_path / "data"), history_bytes=1 << 20, max_channels=10)


@pytest.fixture
def appender(link: RedisLink, gateway: _core.Gateway) -> RedisAppender:
    layout = _core.RedisLayout(prefix="p", function=f"{LIBRARY}_append", history_size=3000, keep_ms=60_000)
    return RedisAppender(link, RedisKeys("p"), gateway, layout)


def publish(appender: RedisAppender, gateway: _core.Gateway, data: Any, channel: str = "room") -> Any:
    submission = gateway.prepare("demo", channel, json.dumps({"type": "t", "data": data}).encode())
    appender.append([submission])
    return submission.ack()


def calls(redis: RedisServer) -> int:
    return redis.client.info("commandstats")["cmdstat_fcall"]["calls"]


def test_what_is_in_flight_travels_together(
    redis: RedisServer, appender: RedisAppender, gateway: _core.Gateway
) -> None:
    publish(appender, gateway, "first")
    before = calls(redis)
    with redis.paused():
        threads = [threading.Thread(target=publish, args=(appender, gateway, number)) for number in range(20)]
        for thread in threads:
            thread.start()
        while len(appender._jobs) < 19:
            threading.Event().wait(0.001)
    for thread in threads:
        thread.join()
    assert publish(appender, gateway, "last").offset == 22
    assert calls(redis) - before == 3, "one for who came first, one for all who came meanwhile, one for the last"


def test_a_batch_beyond_a_calls_bounds_goes_in_several(
    redis: RedisServer, appender: RedisAppender, gateway: _core.Gateway
) -> None:
    bodies = [json.dumps({"events": [{"channel": "room", "type": "t", "data": n}] * 700}).encode() for n in range(4)]
    submissions = [gateway.prepare_batch("demo", body) for body in bodies]
    with redis.paused():
        threads = [threading.Thread(target=appender.append, args=([one],)) for one in submissions]
        threads[0].start()
        while not appender._sending.locked() or appender._jobs:
            threading.Event().wait(0.001)
        for thread in threads[1:]:
            thread.start()
        while len(appender._jobs) < 3:
            threading.Event().wait(0.001)
    for thread in threads:
        thread.join()
    offsets = [[result["offset"] for result in json.loads(one.results())["results"]] for one in submissions]
    assert sorted(offset for one in offsets for offset in one) == list(range(1, 2801))
    assert all(one == sorted(one) for one in offsets), "each batch is in its order"
    # The first finds no functions there, which counts as a call; then the others' 2100 events in three.
    assert calls(redis) == 2 + 3


def test_a_refused_channel_does_not_refuse_the_others(
    redis: RedisServer, appender: RedisAppender, gateway: _core.Gateway
) -> None:
    redis.client.set("p:{demo:wrong}", "no stream")
    body = json.dumps({"channels": ["one", "wrong", "two"], "type": "t", "data": 1}).encode()
    submission = gateway.prepare_broadcast("demo", body)
    appender.append([submission])
    one, wrong, two = json.loads(submission.results())["results"]
    assert (one["offset"], two["offset"]) == (1, 1)
    assert (wrong["code"], wrong["status"]) == ("engine_unavailable", 503)
    assert "WRONGTYPE" in wrong["error"]
    with pytest.raises(EngineUnavailable, match="WRONGTYPE"):
        publish(appender, gateway, 1, "wrong")


def test_all_who_wait_are_told_that_redis_is_gone(
    redis: RedisServer, appender: RedisAppender, gateway: _core.Gateway
) -> None:
    publish(appender, gateway, "first")
    failures: list[BaseException] = []

    def fail() -> None:
        try:
            publish(appender, gateway, "lost")
        except EngineDown as error:
            failures.append(error)

    redis.kill()
    threads = [threading.Thread(target=fail) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 10
    redis.start()


def test_the_counters_say_what_became_of_them(appender: RedisAppender, gateway: _core.Gateway) -> None:
    body = b'{"events":[{"channel":"a","type":"t","data":1},{"channel":"no spaces","type":"t","data":1}]}'
    for _ in range(2):
        submission = gateway.prepare_batch("demo", body, False, "key")
        appender.append([submission])
        submission.results()
    counters = gateway.counters()
    assert (counters["publishes"], counters["replays"], counters["refused.invalid_channel"]) == (1, 1, 2)


def test_nobody_takes_a_failure_for_an_acknowledgement(
    link: RedisLink, appender: RedisAppender, gateway: _core.Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong where all is sent for all."""
    publish(appender, gateway, "first")
    sent = threading.Event()
    outcomes: list[object] = []

    def fail(calls: object, answered: object) -> list[object]:
        sent.wait(10)
        raise MemoryError

    def try_to_publish() -> None:
        try:
            outcomes.append(publish(appender, gateway, "lost"))
        except (MemoryError, EngineDown) as error:
            outcomes.append(type(error))

    monkeypatch.setattr(link, "send_packed", fail)
    threads = [threading.Thread(target=try_to_publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(appender._jobs) == 3, "the others to gather")
    sent.set()
    for thread in threads:
        thread.join()
    assert set(outcomes) <= {MemoryError, EngineDown}
    assert len(outcomes) == 4
