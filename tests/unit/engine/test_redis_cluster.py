import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis.exceptions import AskError, MovedError
from tests.redis_server import VOLATILE, RedisCluster, RedisServer
from tests.serving import free_port, wait_until

from polyglot_gateway.engine.redis_cluster import Cluster
from polyglot_gateway.engine.redis_nodes import Node, pack
from polyglot_gateway.engine.redis_url import nodes_at
from polyglot_gateway.errors import EngineDown

KEYS = [b"a", b"b", b"c"]
"""Each on another master."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    servers = RedisCluster(tmp_path_factory.mktemp("cluster"))
    yield servers
    servers.close()


@pytest.fixture
def cluster(servers: RedisCluster) -> Iterator[Cluster]:
    cluster = nodes_at(servers.url)
    assert isinstance(cluster, Cluster)
    yield cluster
    cluster.close()


def port_of(node: Node | None) -> int:
    assert node
    (info,) = node.read(node.write(pack("INFO", "server")), 1)
    return int(info.partition(b"tcp_port:")[2].split()[0])


def ask(node: Node, *command: str | int) -> object:
    return node.read(node.write(pack(*command)), 1)[0]


def test_each_key_has_its_master(servers: RedisCluster, cluster: Cluster) -> None:
    assert [port_of(cluster.of(key)) for key in KEYS] == [servers.master_of(key.decode()).port for key in KEYS]
    assert len({cluster.of(key) for key in KEYS}) == 3
    assert set(cluster.masters()) == {cluster.of(key) for key in KEYS}
    assert cluster.of(b"x:{a}:y") is cluster.of(b"a")


def test_any_node_leads_to_all(servers: RedisCluster) -> None:
    port = servers.masters[2].port
    cluster = nodes_at(f"cluster://127.0.0.1:1,localhost:{port}")
    assert port_of(cluster.of(b"a")) == servers.master_of("a").port
    assert len(cluster.masters()) == 3
    cluster.close()


def test_all_who_come_first_are_led_there(servers: RedisCluster) -> None:
    first = servers.masters[0]
    begun = threading.Barrier(21)
    with (
        contextlib.closing(nodes_at(f"cluster://127.0.0.1:{first.port}")) as cluster,
        ThreadPoolExecutor(20) as pool,
    ):

        def find(_: int) -> Node:
            begun.wait()
            return cluster.of(b"a")

        with first.paused():
            found = pool.map(find, range(20))
            begun.wait()
        assert len(set(found)) == 1


def test_a_move_holds_from_then_on_and_an_ask_once(servers: RedisCluster, cluster: Cluster) -> None:
    one, other = cluster.of(b"a"), cluster.of(b"b")
    there = servers.master_of("b")
    assert cluster.moved(AskError(f"15495 127.0.0.1:{there.port}"), one) is other
    assert cluster.of(b"a") is one
    # It was asked just now who has which slot, so that for a moment nothing but this answer says where it is.
    assert cluster.moved(MovedError(f"15495 127.0.0.1:{there.port}"), one) is other
    assert cluster.of(b"a") is other
    assert cluster.moved(MovedError(f"15495 :{there.port}"), one) is other, "on the same host"
    wait_until(lambda: cluster.of(b"a") is one, "the nodes to be asked again")


def test_a_node_that_was_unknown_is_asked(servers: RedisCluster, cluster: Cluster) -> None:
    cluster.of(b"a")
    node = cluster.moved(AskError("15495 127.0.0.1:1"), cluster.of(b"a"))
    assert node
    with pytest.raises(EngineDown):
        node.connect()


def test_a_moved_slot_is_found(servers: RedisCluster, cluster: Cluster) -> None:
    source, target = servers.master_of("a"), servers.master_of("b")
    one, other = cluster.of(b"a"), cluster.of(b"b")
    ask(one, "SET", "a", 1)
    with servers.moving("a", target):
        answer = ask(one, "GET", "a")
        assert isinstance(answer, AskError)
        assert cluster.moved(answer, one) is other
    assert cluster.of(b"a") is one, "nobody said it"
    cluster.doubt()
    wait_until(lambda: cluster.of(b"a") is other, "the nodes to be asked again")
    assert ask(cluster.of(b"a"), "GET", "a") == b"1"
    with servers.moving("a", source):
        pass


def test_nothing_is_sent_before_it_is_needed_and_then_it_is_said_that_nobody_answers() -> None:
    cluster = nodes_at("cluster://127.0.0.1:1,127.0.0.1:2")
    for _ in range(2):
        with pytest.raises(EngineDown, match="Redis does not answer"):
            cluster.of(b"a")
    assert all("Redis does not answer" in node.trouble() for node in cluster.masters())
    cluster.close()


def test_a_redis_that_is_no_cluster_is_said(tmp_path: Path) -> None:
    single = RedisServer(tmp_path, *VOLATILE, port=free_port())
    cluster = nodes_at(f"cluster://127.0.0.1:{single.port}")
    with pytest.raises(EngineDown, match="cluster support disabled"):
        cluster.of(b"a")
    cluster.close()
    single.close()


def test_a_master_that_is_gone_keeps_nobody_else_waiting(tmp_path_factory: pytest.TempPathFactory) -> None:
    with (
        contextlib.closing(RedisCluster(tmp_path_factory.mktemp("cluster"), replicas=1)) as servers,
        contextlib.closing(nodes_at(servers.url)) as cluster,
    ):
        gone = servers.master_of("a")
        one, other = cluster.of(b"a"), cluster.of(b"b")
        gone.kill()
        with pytest.raises(EngineDown, match="Redis does not answer"):
            one.connect()
        assert ask(other, "PING") == b"PONG"
        assert one.trouble()
        assert not other.trouble()

        def taken_over() -> bool:
            with contextlib.suppress(EngineDown):
                return ask(cluster.of(b"a"), "PING") == b"PONG"
            return False

        wait_until(taken_over, "a replica to take over, which nobody said but the other masters")
        assert port_of(cluster.of(b"a")) in [replica.port for replica in servers.replicas]
        assert one not in cluster.masters()
