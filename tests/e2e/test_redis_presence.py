"""Who is in a channel, on several instances with one Redis between them, whatever happens to it or to one of them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.members import diff, enter, listed, metas, until_there
from tests.processes import serving_workers
from tests.redis_server import RedisServer
from tests.serving import Gateway, wait_until
from tests.websocket import WebSocket


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis", "--save", "", "--appendonly", "no")
    yield server
    server.close()


@pytest.fixture
def instances(redis: RedisServer, spawn: Callable[..., Gateway]) -> tuple[Gateway, Gateway]:
    """One of two workers and one of a single one, as on two machines: they share nothing but Redis."""
    started = [
        spawn("--server", "native", "--workers", str(2 - number), REDIS_URL=redis.url, DATA_DIR=f"data-{number}")
        for number in range(2)
    ]
    for number, gateway in enumerate(started):
        serving_workers(gateway.wait_until_ready(), 2 - number)
    return started[0], started[1]


def wait_for_members(gateways: tuple[Gateway, ...], room: str, members: set[str]) -> None:
    """Return when all workers list these."""
    wait_until(
        lambda: all(set(listed(gateway, room)) == members for gateway in gateways for _ in range(6)),
        f"{members} to be those who are there",
    )


def test_members_of_one_instance_are_those_of_all(instances: tuple[Gateway, Gateway], room: str) -> None:
    one, two = instances
    ann, ben = WebSocket(one.port), WebSocket(two.port)
    assert metas(enter(ann, room, "ann", device="phone")) == {"ann": [{"device": "phone"}]}
    wait_for_members(instances, room, {"ann"})
    members = until_there(ben, room, enter(ben, room, "ben"), {"ann", "ben"})
    assert metas(members) == {"ann": [{"device": "phone"}], "ben": [{}]}
    assert diff(ann, room) == ({"ben": members["ben"]}, {})
    wait_until(lambda: all(listed(each, room) == members for each in instances for _ in range(6)), "all to know")
    ben.leave(room)
    assert diff(ann, room) == ({}, {"ben": members["ben"]})
    ann.close()
    wait_for_members(instances, room, set())


def test_an_instance_that_comes_later_knows_who_is_there(
    redis: RedisServer, spawn: Callable[..., Gateway], room: str
) -> None:
    one = spawn("--server", "native", "--workers", "2", REDIS_URL=redis.url, DATA_DIR="one").wait_until_ready()
    ann = WebSocket(one.port)
    enter(ann, room, "ann")
    two = spawn("--server", "native", "--workers", "2", REDIS_URL=redis.url, DATA_DIR="two").wait_until_ready()
    wait_for_members((one, two), room, {"ann"})


def test_who_is_served_when_an_instance_stops_is_gone_at_once(instances: tuple[Gateway, Gateway], room: str) -> None:
    one, two = instances
    ann, ben = WebSocket(one.port), WebSocket(two.port)
    enter(ann, room, "ann")
    enter(ben, room, "ben")
    wait_for_members(instances, room, {"ann", "ben"})
    one.stop()
    assert set(listed(two, room)) == {"ben"}


@pytest.mark.slow
def test_a_killed_instance_takes_its_members_along(instances: tuple[Gateway, Gateway], room: str) -> None:
    one, two = instances
    ann, ben = WebSocket(one.port), WebSocket(two.port)
    enter(ann, room, "ann")
    until_there(ben, room, enter(ben, room, "ben"), {"ann", "ben"})
    one.kill_everything()
    joins, leaves = diff(ben, room)
    assert (joins, set(leaves)) == ({}, {"ann"})
    assert set(listed(two, room)) == {"ben"}


def test_redis_killed_and_started_again(redis: RedisServer, instances: tuple[Gateway, Gateway], room: str) -> None:
    one, two = instances
    ann, ben = WebSocket(one.port), WebSocket(two.port)
    enter(ann, room, "ann")
    until_there(ben, room, enter(ben, room, "ben"), {"ann", "ben"})
    assert set(diff(ann, room)[0]) == {"ben"}
    wait_for_members(instances, room, {"ann", "ben"})
    redis.kill()
    said = "presence does not reach the other workers"
    wait_until(lambda: all(said in gateway.log.read_text() for gateway in instances), "it to be missed")
    carl, dora = WebSocket(one.port), WebSocket(two.port)
    assert set(enter(carl, room, "carl")) == {"ann", "ben", "carl"}, "nobody is dropped because nobody is heard"
    assert set(enter(dora, room, "dora")) == {"ann", "ben", "dora"}
    redis.start()
    wait_for_members(instances, room, {"ann", "ben", "carl", "dora"})
    for socket in (ann, ben):
        seen: set[str] = set()
        while seen != {"carl", "dora"}:
            joins, leaves = diff(socket, room)
            assert not leaves, "nobody went"
            seen |= set(joins)
