import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.redis_server import RedisCluster, RedisServer
from tests.serving import wait_until

from polyglot_gateway import _core
from polyglot_gateway.engine import redis_forwarder
from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.engine.redis import RedisEngine
from polyglot_gateway.engine.redis_spool import Spool
from polyglot_gateway.errors import EngineDown, EngineUnavailable

Worker = RedisEngine


@pytest.fixture
def workers(tmp_path: Path, redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Worker]]:
    """Starts one more worker of the same instance."""
    monkeypatch.setattr(redis_forwarder, "SETTLE_SECONDS", 0.2)
    monkeypatch.setattr(redis_forwarder, "ADOPT_SECONDS", 0.1)
    with contextlib.ExitStack() as stack:

        def start(url: str = redis.url) -> Worker:
            local = EmbeddedEngine(str(tmp_path / "data"), history_bytes=1 << 20, max_channels=10)
            local.configure(_core.Access(development=True), _core.Rules(_core.ChannelRule(history_size=5000)))
            spool = Spool(local.gateway, tmp_path / "data" / "spool", most_bytes=64 << 20, durability="process")
            engine = RedisEngine(local, url, history_size=5000, spool=spool)
            stack.callback(engine.close)
            return engine

        yield start


@pytest.fixture
def worker(workers: Callable[[], Worker]) -> Worker:
    return workers()


def publish(engine: Worker, data: Any, channel: str = "room", key: str = "") -> Any:
    return engine.publish("demo", channel, json.dumps({"type": "t", "data": data}).encode(), key)


def kept(engine: Worker, channel: str = "room") -> list[Any]:
    events: list[Any] = []
    until = None
    while True:
        page = json.loads(engine.history("demo", channel, 1000, until=until, reverse=True))["events"]
        events = [event["data"] for event in page[::-1]] + events
        if len(page) < 1000:
            return events
        until = page[-1]["offset"] - 1


def is_empty(engine: Worker) -> bool:
    return engine.spool() == {"events": 0, "bytes": 0}


def die(engine: Worker) -> None:
    """As a worker that is killed: nobody forwards its file any more, and the lock on it is gone."""
    engine._forwarder.close()
    os.close(engine._spool.file._descriptor)
    engine._spool.file._descriptor = -1


def test_what_waited_is_forwarded_in_order_and_once(redis: RedisServer, worker: Worker) -> None:
    assert publish(worker, "before").offset == 1
    redis.kill()
    acks = [publish(worker, number, f"room:{number % 2}") for number in range(2500)]
    assert all(ack.spooled for ack in acks)
    assert worker.spool()["events"] == 2500
    assert worker.ready() == []
    assert "waits here" in worker.degraded()[0]
    redis.start()
    wait_until(lambda: is_empty(worker), "all to be forwarded")
    assert kept(worker, "room:0") == list(range(0, 2500, 2))
    assert kept(worker, "room:1") == list(range(1, 2500, 2))
    found = json.loads(worker.history("demo", "room:0", 1))["events"][0]
    assert (found["id"], found["meta"]["ts"]) == (acks[2498].id, acks[2498].timestamp)
    assert publish(worker, "after", "room:0").offset == 1251
    counters = worker.counters()
    assert (counters["spooled"], counters["forwarded"], counters["publishes"]) == (2500, 2500, 2502)
    assert worker.degraded() == []


def test_what_is_published_while_it_is_forwarded_stays_behind_it(redis: RedisServer, worker: Worker) -> None:
    redis.kill()
    number = 0
    while number < 3000:
        publish(worker, number)
        number += 1
    redis.start()
    while publish(worker, number).spooled:
        number += 1
    assert kept(worker) == list(range(number + 1))[-5000:]


def test_what_redis_may_have_got_is_not_kept_twice(redis: RedisServer, worker: Worker) -> None:
    """It was sent without a key, and done when Redis went on; nobody heard of it."""
    publish(worker, "before")
    with redis.paused():
        assert publish(worker, "unknown").spooled
        assert publish(worker, "known not to be sent").spooled
        assert [record.unknown for _, record in worker._spool.file.read(10, 1 << 20)] == [True, False]
    wait_until(lambda: is_empty(worker), "all to be forwarded")
    assert kept(worker) == ["before", "unknown", "known not to be sent"]


def test_what_redis_may_have_got_is_found_behind_many_others(
    redis: RedisServer, worker: Worker, tmp_path: Path
) -> None:
    local = EmbeddedEngine(str(tmp_path / "other"), history_bytes=1 << 20, max_channels=10)
    other = RedisEngine(local, redis.url, history_size=5000)
    publish(worker, "before")  # by a connection that is there when Redis falls silent
    publish(other, "before")
    with redis.paused():
        assert publish(worker, "unknown").spooled
    body = json.dumps({"events": [{"channel": "room", "type": "t", "data": n} for n in range(1000)]}).encode()
    for _ in range(2):
        assert b"engine_unavailable" not in other.publish_batch("demo", body)
    wait_until(lambda: is_empty(worker), "all to be forwarded")
    found = kept(worker)
    assert (found.index("unknown"), found.count("unknown"), len(found)) == (2, 1, 2003)
    other.close()


def test_what_redis_never_got_is_kept(redis: RedisServer, worker: Worker) -> None:
    publish(worker, "before")
    assert redis._process
    redis._process.send_signal(signal.SIGSTOP)
    assert publish(worker, "unknown").spooled
    redis.kill()
    redis.start()
    wait_until(lambda: is_empty(worker), "all to be forwarded")
    assert kept(worker) == ["unknown"]


def test_a_forward_that_was_not_answered_is_not_done_twice(
    redis: RedisServer, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis.kill()
    for number in range(10):
        publish(worker, number)
    forward = worker.appender.forward
    tries: list[int] = []

    def forward_unheard(records: list[Any]) -> Any:
        answer = forward(records)
        tries.append(len(records))
        if len(tries) == 1:
            # Nor does Redis remember the keys: as after five minutes.
            redis.client.delete(*redis.client.keys("*:key:*"))
            raise EngineDown("Redis does not answer.")
        return answer

    monkeypatch.setattr(worker.appender, "forward", forward_unheard)
    redis.start()
    wait_until(lambda: is_empty(worker), "all to be forwarded")
    assert kept(worker) == list(range(10))
    assert tries == [10], "what is there is not sent again"


def test_the_file_of_a_worker_that_ended_is_forwarded_and_removed(
    redis: RedisServer, workers: Callable[[], Worker]
) -> None:
    one, two = workers(), workers()
    redis.kill()
    for number in range(5):
        publish(one, number, "a")
        publish(two, number, "b")
    die(one)
    redis.start()
    wait_until(lambda: is_empty(two), "all to be forwarded")
    assert kept(two, "a") == kept(two, "b") == list(range(5))
    wait_until(lambda: not one._spool.file.path.exists(), "the file to go")


def test_a_worker_that_ends_while_it_forwards_leaves_nothing_twice(
    redis: RedisServer, workers: Callable[[], Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = workers()
    redis.kill()
    for number in range(2500):
        publish(one, number)
    batches = threading.Semaphore(0)
    forward = one.appender.forward

    def forward_and_die(records: list[Any]) -> Any:
        answer = forward(records)
        if records[0].envelope.find(b'"data":1000,') > 0:
            batches.release()
            one._forwarder._closed.set()
            raise EngineUnavailable("It is killed here: done, and not yet noted.")
        return answer

    monkeypatch.setattr(one.appender, "forward", forward_and_die)
    redis.start()
    assert batches.acquire(timeout=20)
    die(one)
    redis.client.delete(*redis.client.keys("*:key:*"))
    assert one.spool()["events"] == 1500
    two = workers()
    wait_until(lambda: is_empty(two), "the rest to be forwarded")
    assert kept(two) == list(range(2500))


def test_a_file_that_is_as_it_was_before_it_was_forwarded(redis: RedisServer, workers: Callable[[], Worker]) -> None:
    """As the end of the machine can leave it: nothing of what was written last was on the disk."""
    one = workers()
    redis.kill()
    for number in range(2500):
        publish(one, number)
    before = one._spool.file.path.read_bytes()
    redis.start()
    wait_until(lambda: is_empty(one), "all to be forwarded")
    redis.client.delete(*redis.client.keys("*:key:*"))
    (one._spool.folder / "before.spool").write_bytes(before)
    wait_until(lambda: not (one._spool.folder / "before.spool").exists(), "it to be forwarded again")
    assert kept(one) == list(range(2500))


def test_a_key_counts_across_workers(redis: RedisServer, workers: Callable[[], Worker]) -> None:
    one, two = workers(), workers()
    redis.kill()
    first = publish(one, 1, key="same")
    assert publish(one, 1, key="same") == first._replace(replayed=True)
    publish(two, 1, key="same")
    publish(one, 1, key="other")
    publish(two, 2, key="other")
    redis.start()
    wait_until(lambda: is_empty(one), "all to be forwarded")
    assert sorted(kept(one)) in ([1, 1], [1, 2])
    assert one.counters()["refused.idempotency_mismatch"] == 1
    again = publish(two, 1, key="same")
    assert (again.replayed, again.spooled, again.offset > 0) == (True, False, True)


def test_what_redis_refuses_goes_on_waiting(
    redis: RedisServer, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_forwarder, "SETTLE_SECONDS", 1.0)
    redis.kill()
    assert worker.degraded()
    publish(worker, 1)  # so it is known not to be sent
    redis.start()
    redis.client.config_set("maxmemory", 1)
    wait_until(lambda: "maxmemory" in worker._forwarder._said, "Redis to refuse it")
    assert worker.spool()["events"] == 1
    redis.client.config_set("maxmemory", 0)
    wait_until(lambda: is_empty(worker), "it to be forwarded")
    assert kept(worker) == [1]


def test_redis_has_to_answer_for_a_while(redis: RedisServer, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was sent before it fell silent may be done as late as that."""
    monkeypatch.setattr(redis_forwarder, "SETTLE_SECONDS", 1.0)
    redis.kill()
    publish(worker, 1)
    began = time.monotonic()
    redis.start()
    wait_until(lambda: is_empty(worker), "all to be forwarded")
    assert time.monotonic() - began >= 1.0


def test_a_master_of_a_cluster_that_is_gone(tmp_path: Path, workers: Callable[..., Worker]) -> None:
    with contextlib.closing(RedisCluster(tmp_path / "cluster")) as cluster:
        worker = workers(cluster.url)
        owner = {name: cluster.master_of(f"polyglot:{{demo:{name}}}") for name in map(str, range(20))}
        gone = owner["0"]
        others = {name for name, master in owner.items() if master is not gone}
        assert others
        for name in owner:
            assert publish(worker, "before", name).offset == 1
        gone.kill()
        body = json.dumps({"channels": list(owner), "type": "t", "data": "one"}).encode()
        results = json.loads(worker.broadcast("demo", body))["results"]
        assert {result["channel"] for result in results if result.get("offset") == 2} == others
        assert {result["channel"] for result in results if "spooled" in result} == set(owner) - others
        assert all(publish(worker, "two", name).spooled for name in owner), "nothing overtakes what waits"
        gone.start()
        wait_until(lambda: is_empty(worker), "all to be forwarded")
        for name in owner:
            assert kept(worker, name) == (["before"] if name in others else []) + ["one", "two"]


def test_what_waits_is_left_to_the_next_start(redis: RedisServer, workers: Callable[[], Worker]) -> None:
    one = workers()
    redis.kill()
    publish(one, 1)
    one.close()
    assert one._spool.file.path.exists()
    redis.start()
    two = workers()
    wait_until(lambda: is_empty(two), "all to be forwarded")
    assert kept(two) == [1]


def test_without_anything_that_waits_no_file_is_left(workers: Callable[[], Worker]) -> None:
    one = workers()
    publish(one, 1)
    one.close()
    assert list(one._spool.folder.iterdir()) == []
