import contextlib
from collections.abc import Iterator

import pytest
from redis.exceptions import ConnectionError, MovedError, ResponseError
from tests.redis_server import RedisServer
from tests.serving import free_port, wait_until

from polyglot_gateway.engine.redis_nodes import Node, pack
from polyglot_gateway.engine.redis_url import nodes_at
from polyglot_gateway.engine.redis_wire import NotServing, Wire, answers_in


@pytest.fixture
def node(redis: RedisServer) -> Iterator[Node]:
    nodes = nodes_at(redis.url)
    yield nodes.of(b"any")
    nodes.close()


@pytest.fixture
def wire(node: Node) -> Wire:
    return Wire(node.connect())


def test_many_commands_are_answered_in_order(wire: Wire) -> None:
    wire.send(b"".join(pack("ECHO", str(number) * 5000) for number in range(10)))
    assert wire.receive(10) == [str(number).encode() * 5000 for number in range(10)]


def test_refusals_are_what_redis_py_makes_of_them(redis: RedisServer, wire: Wire) -> None:
    redis.client.function_load(
        "#!lua name=w\nredis.register_function('moved', function() return redis.error_reply('MOVED 7 h:1') end)"
    )
    wire.send(pack("NONSENSE") + pack("FCALL", "moved", 0) + pack("PING"))
    nonsense, moved, pong = wire.receive(3)
    assert isinstance(nonsense, ResponseError)
    assert isinstance(moved, MovedError)
    assert (moved.slot_id, moved.host, moved.port) == (7, "h", 1)
    assert pong == b"PONG"


def test_a_redis_that_serves_nobody_now_refuses_with_its_own_kind(redis: RedisServer, wire: Wire) -> None:
    redis.client.set("a", 1)
    redis.follow(free_port())
    wire.send(pack("SET", "a", 2) + pack("GET", "a"))
    refusal, value = wire.receive(2)
    assert isinstance(refusal, NotServing)
    assert str(refusal) == "Redis is a replica, which takes nothing."
    assert value == b"1"


def test_every_refusal_is_one_of_a_command(redis: RedisServer, wire: Wire) -> None:
    """Some are kinds of lost connections to redis-py."""
    with redis.loading(), contextlib.closing(nodes_at(redis.url)) as nodes:
        other = Wire(nodes.of(b"any").connect())
        other.send(pack("GET", "a"))
        (loads,) = other.receive(1)
    assert isinstance(loads, NotServing)
    assert str(loads) == "Redis is loading its data."
    (late,) = answers_in(b"-NOAUTH Authentication required.\r\n")
    assert type(late) is ResponseError
    assert str(late) == "NOAUTH Authentication required."


def test_one_that_was_closed_is_not_quiet(redis: RedisServer, wire: Wire) -> None:
    assert wire.is_quiet()
    redis.client.client_kill_filter(_type="normal", skipme=True)
    wait_until(lambda: not wire.is_quiet(), "its end")
    with pytest.raises(ConnectionError):
        wire.receive(1)


def test_what_was_closed_while_it_was_idle_is_not_used_again(redis: RedisServer, node: Node) -> None:
    assert node.read(node.write(pack("PING")), 1) == [b"PONG"]
    redis.client.client_kill_filter(_type="normal", skipme=True)
    wait_until(lambda: len(redis.client.client_list()) == 1, "its end")
    assert node.read(node.write(pack("PING")), 1) == [b"PONG"]
    assert node.trouble() == ""


def test_an_answer_that_does_not_come_in_time(redis: RedisServer, wire: Wire) -> None:
    wire.connection.socket_timeout = 0.05
    wire._socket.settimeout(0.05)
    with redis.paused():
        wire.send(pack("PING"))
        with pytest.raises(TimeoutError):
            wire.receive(1)
