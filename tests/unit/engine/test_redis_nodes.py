import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.exceptions import ResponseError
from tests.redis_server import VOLATILE, RedisServer
from tests.serving import free_port, wait_until

from polyglot_gateway.engine.redis_nodes import Node, pack
from polyglot_gateway.engine.redis_url import nodes_at
from polyglot_gateway.errors import EngineDown


@pytest.fixture
def node(redis: RedisServer) -> Iterator[Node]:
    nodes = nodes_at(redis.url)
    yield nodes.of(b"any")
    nodes.close()


def connections(redis: RedisServer) -> int:
    return len([client for client in redis.client.client_list() if client["name"] == "polyglot-gateway"])


def test_a_command_is_written_as_resp_has_it() -> None:
    assert pack("SET", b"\xff", 12) == b"*3\r\n$3\r\nSET\r\n$1\r\n\xff\r\n$2\r\n12\r\n"


def test_one_redis_has_all_keys(redis: RedisServer) -> None:
    nodes = nodes_at(redis.url)
    assert [nodes.of(b"a"), nodes.of(b"{b}c")] == 2 * nodes.masters()
    nodes.close()


def test_answers_come_in_order_with_refusals_among_them(node: Node) -> None:
    commands = [pack("SET", "a", 1), pack("LPUSH", "a", 1), pack("GET", "a")]
    first, refused, last = node.read(node.write(b"".join(commands)), 3)
    assert (first, last) == (b"OK", b"1")
    assert isinstance(refused, ResponseError)


def test_a_connection_is_used_again(redis: RedisServer, node: Node) -> None:
    for _ in range(3):
        assert node.read(node.write(pack("PING")), 1) == [b"PONG"]
    assert connections(redis) == 1


def test_a_wire_whose_answer_nobody_read_is_closed(redis: RedisServer, node: Node) -> None:
    """Whoever came next would take the answers of another for its own."""
    node.drop(node.write(pack("BLPOP", "none", "0.1")))
    assert node.read(node.write(pack("PING")), 1) == [b"PONG"]


def test_after_a_failure_it_rests(redis: RedisServer, node: Node) -> None:
    redis.kill()
    with pytest.raises(EngineDown, match="Redis does not answer"):
        node.connect()
    assert "Redis does not answer" in node.trouble()
    redis.start()
    with pytest.raises(EngineDown):
        node.connect()
    wait_until(lambda: node.trouble() == "", "its rest to be over")
    assert node.read(node.write(pack("PING")), 1) == [b"PONG"]


def test_what_is_on_its_way_over_a_connection_that_failed_is_taken_back(tmp_path: Path) -> None:
    """It would be done when the network is well again, after whoever asked was told that it is not known."""
    redis = RedisServer(tmp_path / "redis", *VOLATILE, port=free_port())
    ends: list[str] = []

    def relay(listener: socket.socket) -> None:
        inside, _ = listener.accept()
        outside = socket.create_connection(("127.0.0.1", redis.port))
        with inside, outside:
            while True:
                for ready in select.select([inside, outside], [], [])[0]:
                    try:
                        data = ready.recv(65536)
                        if not data:
                            return ends.append("end")
                        (outside if ready is inside else inside).sendall(data)
                    except ConnectionError:
                        return ends.append("reset")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=relay, args=(listener,))
        thread.start()
        nodes = nodes_at(f"redis://127.0.0.1:{listener.getsockname()[1]}")
        node = nodes.of(b"any")
        node.drop(node.write(pack("PING")))
        thread.join()
    assert ends == ["reset"]
    nodes.close()
    redis.close()
