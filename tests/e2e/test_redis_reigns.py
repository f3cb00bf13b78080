"""A Redis that begins anew gives the offsets of what it lost away again: no position may then mean two events."""

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.redis_server import RedisServer
from tests.serving import free_port, wait_until

from polyglot_gateway import _core
from polyglot_gateway.engine.base import Ack, Page
from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.engine.redis import RedisEngine
from polyglot_gateway.errors import EngineDown

VOLATILE = ("--save", "", "--appendonly", "no")
Open = Callable[[RedisServer], RedisEngine]


@pytest.fixture
def open_engine(tmp_path: Path) -> Iterator[Open]:
    with contextlib.ExitStack() as stack:

        def open_one(redis: RedisServer) -> RedisEngine:
            local = EmbeddedEngine(
                str(tmp_path / f"data-{time.monotonic_ns()}"), history_bytes=1 << 20, max_channels=10
            )
            local.configure(_core.Access(development=True), _core.Rules(_core.ChannelRule()))
            engine = RedisEngine(local, redis.url)
            stack.callback(engine.close)
            return engine

        yield open_one


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with contextlib.closing(RedisServer(tmp_path / "redis", *VOLATILE)) as server:
        yield server


def publish(engine: RedisEngine, data: str) -> Ack:
    def acknowledged() -> Ack | None:
        with contextlib.suppress(EngineDown):
            return engine.publish("demo", "room", b'{"type":"t","data":"%s"}' % data.encode())
        return None

    return wait_until(acknowledged, "an acknowledgement")


def begin_anew(redis: RedisServer) -> None:
    """With what was saved last."""
    redis.kill()
    redis.start()


def only_asked(engine: RedisEngine) -> None:
    engine.read("demo", "room")


def forgotten(engine: RedisEngine) -> None:
    publish(engine, "before")
    engine.forget("demo", "room")


def with_events(engine: RedisEngine) -> None:
    publish(engine, "before")


@pytest.mark.parametrize("past", [only_asked, forgotten, with_events])
@pytest.mark.parametrize("beginnings", [1, 2])
def test_what_was_lost_and_what_comes_then_have_two_epochs(
    redis: RedisServer, open_engine: Open, past: Callable[[RedisEngine], None], beginnings: int
) -> None:
    engine = open_engine(redis)
    past(engine)
    for _ in range(beginnings):
        redis.client.save()
        before = engine.read("demo", "room")
        lost = publish(engine, "lost")
        begin_anew(redis)
        # A reader comes first in the second round, so that an epoch without events of its own is what is saved then.
        page = wait_until(partial(read_on, engine, before.offset, before.epoch), "Redis")
        assert page.gap
        assert page.gap.reason == "epoch_changed"
    new = publish(engine, "new")
    assert new.offset == lost.offset
    assert new.epoch != lost.epoch
    late = engine.read("demo", "room", lost.offset, lost.epoch)
    assert late.gap
    assert late.gap.reason == "epoch_changed"


def read_on(engine: RedisEngine, since: int, epoch: str) -> Page | None:
    with contextlib.suppress(EngineDown):
        return engine.read("demo", "room", since, epoch)
    return None


def test_a_master_that_was_a_replica_meanwhile(tmp_path: Path, open_engine: Open) -> None:
    ports = free_port(), free_port()
    with contextlib.ExitStack() as stack:
        first, second = (
            stack.enter_context(contextlib.closing(RedisServer(tmp_path / str(port), *VOLATILE, port=port)))
            for port in ports
        )
        follow(second, ports[0])
        engine = open_engine(first)
        publish(engine, "before")
        wait_until(lambda: second.client.exists("polyglot:{demo:room}"), "the replica to have it")
        second.client.execute_command("REPLICAOF", "NO", "ONE")
        lost = publish(engine, "lost")
        follow(first, ports[1])
        first.client.execute_command("REPLICAOF", "NO", "ONE")
        new = publish(engine, "new")
        assert new.offset == lost.offset
        assert new.epoch != lost.epoch
        late = engine.read("demo", "room", lost.offset, lost.epoch)
        assert late.gap
        assert late.gap.reason == "epoch_changed"


def follow(redis: RedisServer, port: int) -> None:
    redis.client.execute_command("REPLICAOF", "127.0.0.1", str(port))
    wait_until(lambda: redis.client.info("replication").get("master_link_status") == "up", "the replica to follow")


def test_a_master_that_takes_over_again_with_what_it_had(tmp_path: Path, open_engine: Open) -> None:
    """It goes on where it was, loads nothing anew, and lacks the last of what the other one acknowledged."""
    ports = free_port(), free_port()
    with contextlib.ExitStack() as stack:
        first, second = (
            stack.enter_context(contextlib.closing(RedisServer(tmp_path / str(port), *VOLATILE, port=port)))
            for port in ports
        )
        follow(second, ports[0])
        engine = open_engine(first)
        before = publish(engine, "before")
        wait_until(lambda: second.client.exists("polyglot:{demo:room}"), "the replica to have it")
        second.client.execute_command("REPLICAOF", "NO", "ONE")
        follow(first, ports[1])
        assert first.client.info("stats")["sync_full"] <= 1, "it goes on where it was"
        with first.paused():
            second.client.client_kill_filter(_type="replica")
            lost = publish(open_engine(second), "lost")
            second.kill()
        first.client.execute_command("REPLICAOF", "NO", "ONE")
        assert lost.offset == before.offset + 1
        page = wait_until(partial(read_on, engine, before.offset, before.epoch), "Redis")
        assert page.gap
        assert page.gap.reason == "epoch_changed"


@pytest.mark.parametrize("group", ["0123456789ab0123456789ab:77:1", ""])
def test_a_stream_of_another_version_or_hand_begins_anew(redis: RedisServer, open_engine: Open, group: str) -> None:
    key = "polyglot:{demo:room}"
    redis.client.xadd(key, {"e": '{"id":"evt_1","offset":', "t": "1000"}, id="7-1")
    if group:
        redis.client.xgroup_create(key, group, "0")
    engine = open_engine(redis)
    late = engine.read("demo", "room", 7, f"{77:016x}")
    assert late.gap
    assert late.gap.reason == "epoch_changed"
    assert (late.events, publish(engine, "new").offset) == ([], 1)
    assert [offset for offset, _ in engine.read("demo", "room", 0).events] == [1]
