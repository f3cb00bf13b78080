import time
from collections.abc import Iterator
from typing import NoReturn

import hiredis
import pytest
from redis.exceptions import ConnectionError
from tests.redis_server import RedisServer
from tests.serving import wait_until

from polyglot_gateway.engine.redis_link import RedisLink
from polyglot_gateway.engine.redis_subscriber import Subscriber
from polyglot_gateway.errors import EngineDown

PATIENCE = 10.0


@pytest.fixture
def subscriber(link: RedisLink) -> Iterator[Subscriber]:
    subscriber = Subscriber(link.nodes.of(b"a"))
    yield subscriber
    subscriber.close()


def replies(subscriber: Subscriber, count: int) -> list[object]:
    found: list[object] = []
    deadline = time.monotonic() + PATIENCE
    while len(found) < count:
        assert subscriber.wait(deadline - time.monotonic()), f"{found}, then nothing"
        found += subscriber.read() or []
    assert len(found) == count
    return found


def test_messages_come_between_answers(redis: RedisServer, subscriber: Subscriber) -> None:
    subscriber.ask(b"SSUBSCRIBE", [b"a", b"b"])
    assert list(subscriber.awaited) == [(b"SSUBSCRIBE", b"a"), (b"SSUBSCRIBE", b"b")]
    assert replies(subscriber, 2) == [[b"ssubscribe", b"a", 1], [b"ssubscribe", b"b", 2]]
    redis.client.execute_command("SPUBLISH", "a", b"\xff")
    subscriber.ask(b"PING", [b""])
    assert replies(subscriber, 2) == [[b"smessage", b"a", b"\xff"], [b"pong", b""]]
    assert subscriber.read() is None


def test_a_refusal_is_an_answer(subscriber: Subscriber) -> None:
    subscriber.ask(b"NONE-SUCH", [b"a"])
    (refused,) = replies(subscriber, 1)
    assert isinstance(refused, hiredis.ReplyError)


def test_what_does_not_come_is_not_waited_for(subscriber: Subscriber) -> None:
    assert subscriber.read() is None
    assert not subscriber.wait(0.01)
    assert not subscriber.wait(-1)


def test_a_long_message_comes_whole(redis: RedisServer, subscriber: Subscriber) -> None:
    subscriber.ask(b"SSUBSCRIBE", [b"a"])
    replies(subscriber, 1)
    redis.client.execute_command("SPUBLISH", "a", b"x" * 1_000_000)
    assert replies(subscriber, 1) == [[b"smessage", b"a", b"x" * 1_000_000]]


def test_a_lost_connection_is_said(redis: RedisServer, subscriber: Subscriber) -> None:
    redis.kill()
    assert subscriber.wait(PATIENCE)
    with pytest.raises(ConnectionError):
        subscriber.read()
    with pytest.raises(ConnectionError):
        subscriber.ask(b"PING", [b""])


def test_without_redis_there_is_none(redis: RedisServer, link: RedisLink) -> None:
    redis.kill()
    with pytest.raises(EngineDown):
        Subscriber(link.nodes.of(b"a"))


def test_a_connection_that_nobody_can_read_is_let_go(redis: RedisServer, link: RedisLink) -> None:
    def listen(fd: int) -> NoReturn:
        raise RuntimeError(f"dup of {fd}: Too many open files")

    before = len(redis.client.client_list())
    with pytest.raises(RuntimeError):
        Subscriber(link.nodes.of(b"a"), listen)
    wait_until(lambda: len(redis.client.client_list()) == before, "the end of the connection")
