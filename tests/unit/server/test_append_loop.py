"""A native server before a real Redis, as in a worker; beside gevent's loop runs what appends."""

import contextlib
import http.client
import json
import os
import resource
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gevent
import pytest
from tests import serving
from tests.redis_server import RedisServer
from tests.serving import free_port

from polyglot_gateway import _core
from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.engine.redis import RedisEngine
from polyglot_gateway.engine.redis_spool import Spool
from polyglot_gateway.server.append_loop import AppendLoop

PATIENCE = 20.0


class Worker:
    """Attributes: sent: how often events went by Python."""

    def __init__(self, folder: Path, url: str, monkeypatch: pytest.MonkeyPatch, *, spools: bool) -> None:
        local = EmbeddedEngine(str(folder), history_bytes=1 << 20, max_channels=10, idempotency_keys=10)
        local.configure(_core.Access(development=True), _core.Rules(_core.ChannelRule()))
        spool = None
        if spools:
            spool = Spool(local.gateway, folder / "spool", most_bytes=1 << 20, durability="process")
        self.engine = RedisEngine(local, url, prefix="test", history_size=1000, seconds=600, spool=spool)
        self.server = _core.Server(local.gateway, engine_elsewhere=True)
        self.sent = 0
        send = self.engine.appender.send

        def counted(calls: _core.AppendCalls) -> object:
            self.sent += 1
            return send(calls)

        monkeypatch.setattr(self.engine.appender, "send", counted)
        self.loop = AppendLoop(self.server, self.engine.appender)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.server.start([listener.fileno()])
            self.port: int = listener.getsockname()[1]
        self.loop.start()

    def publish(self, channel: str = "room", **headers: str) -> tuple[int, dict[str, Any]]:
        """Status and answer; the loop runs meanwhile."""
        return gevent.get_hub().threadpool.apply(self._publish, (channel, headers))

    def _publish(self, channel: str, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            return self.ask(connection, channel, headers)
        finally:
            connection.close()

    @staticmethod
    def ask(
        connection: http.client.HTTPConnection, channel: str, headers: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        fields = {"X-API-Key": "valid_key_app", **{name.replace("_", "-"): value for name, value in headers.items()}}
        path = f"/apps/app/channels/{channel}/publish"
        connection.request("POST", path, b'{"type":"t","data":1}', fields)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    def offset(self, channel: str = "room") -> int:
        status, answer = self.publish(channel)
        assert status == 200, answer
        found: int = answer["offset"]
        return found

    def stop(self) -> None:
        self.server.stop()
        self.loop.stop()
        self.engine.close()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis", "--save", "", "--appendonly", "no")
    yield server
    server.close()


@pytest.fixture
def hire(redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Worker]]:
    hired: list[Worker] = []

    def start(*, spools: bool = False) -> Worker:
        hired.append(Worker(tmp_path / f"worker-{len(hired)}", redis.url, monkeypatch, spools=spools))
        return hired[-1]

    yield start
    for worker in hired:
        worker.stop()


@pytest.fixture
def worker(hire: Callable[..., Worker]) -> Worker:
    return hire()


wait_until = partial(serving.wait_until, what="it", pause=gevent.sleep)


def test_only_the_first_event_of_a_channel_goes_by_python(worker: Worker) -> None:
    assert [worker.offset() for _ in range(20)] == list(range(1, 21))
    assert worker.sent == 1
    assert worker.server.has_append_wire()
    assert [worker.offset("another") for _ in range(3)] == [1, 2, 3]
    assert worker.sent == 2
    assert {info.channel for info in worker.engine.channels("app")} == {"room", "another"}


def test_keys_are_known_again(worker: Worker) -> None:
    worker.offset()
    first = worker.publish(Idempotency_Key="k")
    assert worker.publish(Idempotency_Key="k") == first
    assert worker.sent == 1


def test_a_redis_that_ends_is_told_and_found_again(worker: Worker, redis: RedisServer) -> None:
    worker.offset()
    redis.kill()
    wait_until(lambda: not worker.server.has_append_wire())
    status, answer = worker.publish()
    assert (status, answer["code"]) == (503, "engine_unavailable")
    redis.start()
    wait_until(lambda: worker.publish()[0] == 200)
    assert worker.server.has_append_wire()
    before = worker.sent
    worker.offset()
    assert worker.sent == before


def test_a_redis_that_hangs_is_told_in_time(worker: Worker, redis: RedisServer) -> None:
    worker.offset()
    with redis.paused():
        for _ in range(2):  # the second at once, because Redis is known to be silent
            status, answer = worker.publish()
            assert (status, answer["code"]) == (503, "engine_unavailable")
            assert "no answer" in answer["error"]
    wait_until(lambda: worker.publish()[0] == 200)


def test_a_redis_that_lost_everything_is_told_all_again(worker: Worker, redis: RedisServer) -> None:
    """The functions, and the place in the app's list."""
    worker.offset()
    assert worker.offset() == 2
    redis.client.flushall()
    redis.client.function_flush()
    assert worker.offset() == 1
    assert [info.channel for info in worker.engine.channels("app")] == ["room"]
    before = worker.sent
    assert worker.offset() == 2
    assert worker.sent == before


def test_what_redis_refuses_is_told(worker: Worker, redis: RedisServer) -> None:
    worker.offset()
    redis.client.config_set("maxmemory", 1)
    status, answer = worker.publish()
    assert (status, answer["code"]) == (503, "engine_unavailable")
    assert "maxmemory" in answer["error"]
    redis.client.config_set("maxmemory", 0)
    assert worker.offset() == 2


def test_a_redis_that_became_a_replica_is_not_asked_by_the_thread(worker: Worker, redis: RedisServer) -> None:
    """Another may be in its place, which only a new connection reaches."""
    worker.offset()
    redis.follow(free_port())
    status, answer = worker.publish()
    assert (status, answer["code"]) == (503, "engine_unavailable")
    assert "replica" in answer["error"]
    wait_until(lambda: not worker.server.has_append_wire())
    redis.lead()
    wait_until(lambda: worker.publish()[0] == 200)
    assert worker.server.has_append_wire()


def test_nothing_overtakes_what_waits_in_the_spool(hire: Callable[..., Worker], redis: RedisServer) -> None:
    worker = hire(spools=True)
    worker.offset()
    assert worker.server.has_append_wire()
    redis.kill()
    wait_until(lambda: not worker.server.has_append_wire())
    assert [worker.publish()[0] for _ in range(3)] == [202, 202, 202]
    redis.start()
    statuses: list[int] = []
    wait_until(lambda: statuses.append(worker.publish()[0]) or statuses[-1] == 200)
    _, answer = worker.publish()
    # This Redis began empty, and all that waited came before what is acknowledged by it.
    assert answer["offset"] == 3 + len(statuses) + 1


def test_nor_does_it_where_python_alone_has_seen_redis_fail(hire: Callable[..., Worker], redis: RedisServer) -> None:
    worker = hire(spools=True)
    worker.offset()
    assert worker.server.has_append_wire()
    with redis.paused():
        assert worker.engine.publish("app", "room", b'{"type":"t","data":1}').spooled
    assert worker.publish()[0] == 202
    wait_until(lambda: worker.publish()[0] == 200)
    before = worker.sent
    worker.offset()
    assert worker.sent == before, "it goes by the thread again"


def test_what_is_kept_is_told_so_though_no_wire_can_be_lent(worker: Worker, logged: list[Any]) -> None:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", worker.port, timeout=PATIENCE)) as connection:
        publish = partial(gevent.get_hub().threadpool.apply, worker.ask, (connection, "room", {}))
        publish()
        worker.server.revoke_append_wire()
        wait_until(lambda: worker.engine.appender._lent is None)
        worker.engine.channel("app", "room")  # which leaves a connection for the event, and then for the thread
        with no_descriptors_left():
            status, answer = publish()
    assert (status, answer.get("offset")) == (200, 2)
    assert [entry["log_level"] for entry in logged] == ["warning"]
    assert not worker.server.has_append_wire()
    worker.offset()
    assert worker.server.has_append_wire()


@contextlib.contextmanager
def no_descriptors_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fillers: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 10, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                fillers.append(os.open("/dev/null", os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for filler in fillers:
            os.close(filler)
