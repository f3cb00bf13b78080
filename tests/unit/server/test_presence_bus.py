"""Two native servers with one Redis between them, each as in a worker of its own; beside gevent's loop runs its bus."""

import contextlib
import os
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from tests.redis_server import RedisServer
from tests.websocket import WebSocket

from polyglot_gateway import _core
from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.engine.redis_link import RedisLink
from polyglot_gateway.gateway.tokens import Tokens
from polyglot_gateway.server.handoff import Handoff
from polyglot_gateway.server.presence_bus import PresenceBus

PATIENCE = 20.0
LEASE_SECONDS = 10.0
"""After which one who says nothing is taken for dead; kPresenceLease in server/presence.hpp."""
ROOM = "room:1"
# Kinds of messages; see server/presence_message.hpp.
JOIN, LEAVE, HELLO, BEAT = 1, 2, 5, 6


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    with gevent.Timeout(seconds):
        while not condition():
            gevent.sleep(0.005)


class Worker:
    """A server, who is in its room, and what carries that."""

    def __init__(self, folder: Path, url: str) -> None:
        self.engine = EmbeddedEngine(str(folder), history_bytes=1 << 20, max_channels=10, idempotency_keys=10)
        self.engine.configure(_core.Access(development=True), _core.Rules(_core.ChannelRule(presence=True)))
        self.server = _core.Server(self.engine.gateway, engine_elsewhere=True)
        self.link = RedisLink(url)
        self.bus = PresenceBus(self.server, self.link, "presence")
        self.handoff = Handoff(self.server, lambda *_: [], Tokens(""), {}, self)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.server.start([listener.fileno()])
            self.port: int = listener.getsockname()[1]
        self.handoff.start()
        self.bus.start()
        self.running = True
        self._sockets: list[WebSocket] = []

    def follow(self, number: int, *_: object) -> None:
        """There is nothing to follow."""
        self.server.decide(number, None)

    def unfollow(self, *_: object) -> None:
        pass

    def announce(self, message: bytes) -> None:
        self.bus.say(message)

    def enter(self, key: str) -> WebSocket:
        entered = WebSocket(self.port)
        self._sockets.append(entered)
        entered.join(ROOM, presence={"key": key})
        return entered

    def members(self) -> set[str]:
        """As a socket is told that joins."""
        with WebSocket(self.port) as onlooker:
            onlooker.join(ROOM)
            return set(onlooker.next("presence_state").payload)

    def stop(self) -> None:
        if self.running:
            self.handoff.stop()
            self.server.stop()
            self.bus.stop()
            self.link.close()
            self.engine.close()
            for entered in self._sockets:
                entered.close()
            self.running = False


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis", "--save", "", "--appendonly", "no")
    yield server
    server.close()


@pytest.fixture
def workers(tmp_path: Path, redis: RedisServer) -> Iterator[list[Worker]]:
    workers = [Worker(tmp_path / str(number), redis.url) for number in range(2)]
    yield workers
    for worker in workers:
        worker.stop()


@contextlib.contextmanager
def hangs_up(redis: RedisServer) -> Iterator[list[None]]:
    """Takes connections in the place of a Redis that is gone, and ends them at once; counts them."""
    path = Path(redis.url.removeprefix("unix://"))
    path.unlink()
    tries: list[None] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def hang_up() -> None:
            with contextlib.suppress(OSError):  # of the end
                while True:
                    listener.accept()[0].close()
                    tries.append(None)

        thread = threading.Thread(target=hang_up)
        thread.start()
        yield tries
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def beside(work: Callable[[], Any]) -> Any:
    """Do it in a thread while gevent's loop goes on."""
    return gevent.get_hub().threadpool.apply(work)


def knows(worker: Worker, members: set[str]) -> bool:
    return beside(worker.members) == members


def test_who_comes_and_goes_is_known_to_the_other(workers: list[Worker]) -> None:
    one, two = workers
    ann = beside(lambda: one.enter("ann"))
    wait_until(lambda: knows(two, {"ann"}))
    ann.close()
    wait_until(lambda: knows(two, set()))


def test_the_order_is_kept(workers: list[Worker], redis: RedisServer) -> None:
    one, two = workers
    with redis.client.pubsub() as heard:
        heard.ssubscribe("presence")

        def come_and_go() -> None:
            entered = one.enter("ann")
            for _ in range(500):
                entered.leave(ROOM)
                entered.join(ROOM, presence={"key": "ann"})
            one.enter("ben")

        beside(come_and_go)
        wait_until(lambda: knows(two, {"ann", "ben"}))
        numbers: dict[bytes, list[int]] = defaultdict(list)
        changes = 0
        while changes < 1002 and (message := heard.get_message(timeout=PATIENCE)):
            if message["type"] == "smessage":
                kind, worker = message["data"][4], message["data"][5:13]
                changes += kind in (JOIN, LEAVE)
                if kind not in (HELLO, BEAT):  # which have no number of their own
                    numbers[worker].append(int.from_bytes(message["data"][13:21], "little"))
    assert changes == 1002
    assert all(those == list(range(those[0], those[0] + len(those))) for those in numbers.values())


def test_what_was_said_while_redis_was_gone_is_caught_up_with(workers: list[Worker], redis: RedisServer) -> None:
    one, two = workers
    ann = beside(lambda: one.enter("ann"))
    wait_until(lambda: knows(two, {"ann"}))
    redis.kill()
    beside(lambda: one.enter("ben"))
    ann.close()
    wait_until(lambda: knows(one, {"ben"}))
    assert knows(two, {"ann"})
    redis.start()
    wait_until(lambda: knows(two, {"ben"}))


def test_it_is_said_once_that_redis_is_gone(workers: list[Worker], redis: RedisServer, logged: list[Any]) -> None:
    wait_until(lambda: redis.client.pubsub_shardnumsub("presence")[0][1] == 2)
    redis.kill()
    with hangs_up(redis) as tries:
        wait_until(lambda: len(logged) >= 2)
        said = len(tries)
        wait_until(lambda: len(tries) >= said + 8)  # which all fail, and there is nothing more to be said
    assert [entry["event"] for entry in logged] == ["presence does not reach the other workers"] * len(workers)
    assert all("Redis" in entry["reason"] for entry in logged)


def test_who_listens_to_a_redis_that_was_replaced_notices(
    workers: list[Worker], redis: RedisServer, tmp_path: Path
) -> None:
    one, two = workers
    wait_until(lambda: redis.client.pubsub_shardnumsub("presence")[0][1] == 2)
    new = RedisServer(tmp_path / "new", "--save", "", "--appendonly", "no")
    # It takes the address of the old one, which lives on and keeps its subscribers.
    os.replace(new.url.removeprefix("unix://"), redis.url.removeprefix("unix://"))
    redis.client.client_kill_filter(_type="normal", skipme=True)
    beside(lambda: one.enter("ann"))
    wait_until(lambda: knows(two, {"ann"}))
    for worker in workers:
        worker.stop()
    new.close()


def test_the_last_word_is_said(workers: list[Worker]) -> None:
    one, two = workers
    beside(lambda: one.enter("ann"))
    wait_until(lambda: knows(two, {"ann"}))
    one.stop()  # with the socket still open
    wait_until(lambda: knows(two, set()), LEASE_SECONDS / 2)


def test_a_stop_does_not_wait_for_redis(workers: list[Worker], redis: RedisServer) -> None:
    redis.kill()
    with gevent.Timeout(PATIENCE):
        for worker in workers:
            worker.stop()
