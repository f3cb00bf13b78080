"""Several instances on one Redis: they behave as one, and whatever happens to Redis is said, never passed over."""

import contextlib
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.followers import StreamFollower
from tests.redis_server import RedisServer, Sentinel
from tests.serving import Gateway, free_port, wait_until

Instances = Callable[[int], list[Gateway]]
VOLATILE = ("--save", "", "--appendonly", "no")
DURABLE = ("--save", "", "--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture
def redis(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis", *getattr(request, "param", VOLATILE))
    yield server
    server.close()


@pytest.fixture(params=["native", "wsgi"])
def instances(redis: RedisServer, spawn: Callable[..., Gateway], request: pytest.FixtureRequest) -> Instances:
    """Starts so many instances, each with a data folder of its own."""
    server: str = request.param

    def start(count: int) -> list[Gateway]:
        started = [
            spawn("--workers", "1", SERVER=server, REDIS_URL=redis.url, DATA_DIR=f"data-{number}", LOG_LEVEL="error")
            for number in range(count)
        ]
        return [gateway.wait_until_ready() for gateway in started]

    return start


def publish(gateway: Gateway, channel: str, data: Any, key: str = "") -> dict[str, Any]:
    """Publish as a careful client does: under a key, and again after every 503 until it is acknowledged."""
    body = json.dumps({"type": "message", "data": data}).encode()
    headers = {"Idempotency-Key": key or str(uuid.uuid4())}

    def acknowledged() -> Any:
        response = gateway.request("POST", f"/apps/demo/channels/{channel}/publish", body, headers)
        if response.status == 503:
            assert json.loads(response.body)["code"] == "engine_unavailable"
            assert int(response.headers["Retry-After"]) >= 1
            return None
        assert response.status == 200, response.body
        return json.loads(response.body)

    return wait_until(acknowledged, "an acknowledgement")


def is_told(follower: StreamFollower, ack: dict[str, Any]) -> bool:
    """Whether the follower had this event, or a gap that covers it."""
    place = follower.place
    if (ack["epoch"], ack["offset"]) in place.got:
        return True
    return any(gap["reason"] == "epoch_changed" or gap["from"] <= ack["offset"] <= gap["to"] for gap in place.gaps)


def test_instances_behave_as_one(instances: Instances) -> None:
    one, two, three = instances(3)
    followers = [StreamFollower(gateway.port, "room", since=0).follow() for gateway in (one, two, three)]
    gateways = [one, two, three]
    acks = [publish(gateways[number % 3], "room", number) for number in range(30)]
    assert [ack["offset"] for ack in acks] == list(range(1, 31))
    assert len({ack["epoch"] for ack in acks}) == 1
    for follower in followers:
        follower.wait_for(30)
        assert follower.place.data == list(range(30))
        assert not follower.place.gaps
        follower.stop()
    assert one.history("room") == two.history("room") == three.history("room")
    lists = [gateway.request("GET", "/apps/demo/channels").body for gateway in gateways]
    assert lists[0] == lists[1] == lists[2]
    assert [channel["channel"] for channel in json.loads(lists[0])["channels"]] == ["room"]


def test_a_key_is_known_to_all_instances(instances: Instances) -> None:
    one, two = instances(2)
    first = publish(one, "room", "a", "key")
    assert publish(two, "room", "a", "key") == first
    other = two.request(
        "POST", "/apps/demo/channels/room/publish", b'{"type":"m","data":"b"}', {"Idempotency-Key": "key"}
    )
    assert other.status == 422
    assert one.history("room")["count"] == 1


def test_two_apps_have_channels_of_their_own(instances: Instances) -> None:
    one, two = instances(2)
    one.publish("room", "a", app="demo")
    two.publish("room", "b", app="shop")
    assert [event["data"] for event in two.history("room", app="demo")["events"]] == ["a"]
    assert [event["data"] for event in one.history("room", app="shop")["events"]] == ["b"]


def test_redis_killed_and_started_empty(redis: RedisServer, instances: Instances) -> None:
    one, two = instances(2)
    follower = StreamFollower(two.port, "room", since=0).follow()
    acks = [publish(one, "room", number) for number in range(20)]
    redis.kill()

    began = time.monotonic()
    refused = one.request("POST", "/apps/demo/channels/room/publish", b'{"type":"m","data":1}')
    assert refused.status == 503
    assert json.loads(refused.body)["code"] == "engine_unavailable"
    assert time.monotonic() - began < 5
    ready = wait_until(lambda: (r := two.request("GET", "/ready")).status == 503 and r, "/ready to say it")
    assert "Redis" in json.loads(ready.body)["reasons"][0]

    redis.start()
    acks += [publish(one, "room", number) for number in range(20, 40)]
    assert acks[20]["epoch"] != acks[19]["epoch"]
    wait_until(lambda: follower.failure or all(is_told(follower, ack) for ack in acks), "everything to be told")
    wait_until(lambda: follower.place.data[-20:] == list(range(20, 40)), "what came after")
    assert [gap["reason"] for gap in follower.place.gaps] == ["epoch_changed"]
    assert follower.returns == 0, "the stream was not cut"
    follower.stop()
    wait_until(two.is_ready, "two to be ready again")


@pytest.mark.parametrize("redis", [DURABLE], indirect=True)
def test_redis_killed_and_started_with_its_data(redis: RedisServer, instances: Instances) -> None:
    one, two = instances(2)
    follower = StreamFollower(two.port, "room", since=0).follow()
    acks = [publish(one, "room", number) for number in range(20)]
    redis.kill()
    redis.start()
    acks += [publish(one, "room", number) for number in range(20, 40)]
    assert [ack["offset"] for ack in acks] == list(range(1, 41))
    # Nobody can know that nothing is missing, so the epoch ends; but all is there to be read.
    wait_until(lambda: follower.place.data[-40:] == list(range(40)), "all that was kept")
    assert [gap["reason"] for gap in follower.place.gaps] == ["epoch_changed"]
    follower.stop()


def test_redis_killed_and_started_with_a_part_of_its_data(redis: RedisServer, instances: Instances) -> None:
    """The offsets of what it lost are given away again: nobody may take the new events for the old."""
    one, two = instances(2)
    follower = StreamFollower(two.port, "room", since=0).follow()
    acks = [publish(one, "room", number) for number in range(10)]
    redis.client.save()
    acks += [publish(one, "room", number) for number in range(10, 20)]
    follower.wait_for(20)
    redis.kill()
    redis.start()
    wait_until(one.is_ready, "one to be ready again")
    # Before anything new: who had read up to here is told that more had been there.
    early = one.history("room", f"since=10&epoch={acks[0]['epoch']}")
    assert (early["gap"]["reason"], early["offset"]) == ("epoch_changed", 10)
    acks += [publish(one, "room", number) for number in range(20, 45)]
    assert [ack["offset"] for ack in acks[20:]] == list(range(11, 36))
    assert {ack["epoch"] for ack in acks[20:]} == {early["epoch"]} != {acks[0]["epoch"]}
    wait_until(lambda: follower.place.data[-25:] == list(range(20, 45)), "what came after")
    assert [gap["reason"] for gap in follower.place.gaps] == ["epoch_changed"]
    assert all(is_told(follower, ack) for ack in acks)
    follower.stop()
    late = two.history("room", f"since=20&epoch={acks[0]['epoch']}")
    assert (late["gap"]["reason"], late["count"]) == ("epoch_changed", 35)


def test_redis_that_answers_nobody_for_a_while(redis: RedisServer, instances: Instances) -> None:
    one, two = instances(2)
    follower = StreamFollower(two.port, "room", since=0).follow()
    publish(one, "room", 0)
    with redis.paused():
        body = b'{"type":"message","data":1}'
        response = one.request("POST", "/apps/demo/channels/room/publish", body, {"Idempotency-Key": "1"})
        assert response.status == 503
    # Whether it was kept is not known to who was refused; under its key it is kept once.
    assert publish(one, "room", 1, "1")["offset"] == 2
    assert publish(two, "room", 2)["offset"] == 3
    follower.wait_for(3)
    assert (follower.place.data, follower.place.gaps) == ([0, 1, 2], [])
    follower.stop()


def test_a_replica_that_takes_over(tmp_path: Path, spawn: Callable[..., Gateway]) -> None:
    """It may lack what its master answered last, so the epoch ends, and all that was acknowledged is there or said."""
    ports = [free_port() for _ in range(3)]
    with contextlib.ExitStack() as stack:
        master = stack.enter_context(contextlib.closing(RedisServer(tmp_path / "master", *VOLATILE, port=ports[0])))
        follows = ("--replicaof", "127.0.0.1", str(ports[0]), "--repl-diskless-sync-delay", "0")
        replica = stack.enter_context(
            contextlib.closing(RedisServer(tmp_path / "replica", *VOLATILE, *follows, port=ports[1]))
        )
        wait_until(lambda: replica.client.info("replication")["master_link_status"] == "up", "the replica")
        sentinel = stack.enter_context(contextlib.closing(Sentinel(tmp_path / "sentinel", ports[2], ports[0])))
        wait_until(lambda: sentinel.client.sentinel_slaves("mymaster"), "the Sentinel to know the replica")
        gateways = [spawn("--workers", "1", REDIS_URL=sentinel.url, DATA_DIR=f"data-{n}") for n in range(2)]
        one, two = (gateway.wait_until_ready() for gateway in gateways)

        follower = StreamFollower(two.port, "room", since=0).follow()
        acks = [publish(one, "room", number) for number in range(20)]
        master.kill()
        acks += [publish(one, "room", number) for number in range(20, 40)]
        assert replica.client.info("replication")["role"] == "master"
        assert acks[19]["epoch"] != acks[20]["epoch"]
        wait_until(lambda: follower.place.data[-20:] == list(range(20, 40)), "what came after")
        assert all(is_told(follower, ack) for ack in acks)
        assert [gap["reason"] for gap in follower.place.gaps][-1] == "epoch_changed"
        assert follower.returns == 0
        follower.stop()


@pytest.mark.parametrize("loss", ["FLUSHALL", "eviction"])
def test_what_redis_loses_is_told(redis: RedisServer, instances: Instances, loss: str) -> None:
    one, two = instances(2)
    follower = StreamFollower(two.port, "room", since=0).follow()
    acks = [publish(one, "room", number) for number in range(10)]
    follower.wait_for(10)
    if loss == "FLUSHALL":
        redis.client.flushall()
    else:
        assert redis.client.delete("polyglot:{demo:room}") == 1
    acks += [publish(two, "room", number) for number in range(10, 15)]
    assert (acks[10]["offset"], acks[10]["epoch"] == acks[9]["epoch"]) == (1, False)
    wait_until(lambda: follower.place.data[-5:] == list(range(10, 15)), "what came after")
    assert [gap["reason"] for gap in follower.place.gaps] == ["epoch_changed"]
    follower.stop()
    listed = json.loads(one.request("GET", "/apps/demo/channels").body)["channels"]
    assert [channel["channel"] for channel in listed] == ["room"]
    stale = one.history("room", f"since=10&epoch={acks[9]['epoch']}")
    assert stale["gap"]["reason"] == "epoch_changed"


def test_who_waits_before_the_first_event_misses_none(redis: RedisServer, instances: Instances) -> None:
    one, two = instances(2)
    position = one.history("room")
    follower = StreamFollower(two.port, "room", since=0, epoch=position["epoch"]).follow()
    publish(one, "room", "first")
    follower.wait_for(1)
    assert (follower.place.data, follower.place.gaps) == (["first"], [])
    follower.stop()
    redis.client.delete("polyglot:{demo:room}")
    publish(one, "room", "second")
    assert two.history("room", f"since=0&epoch={position['epoch']}")["gap"]["reason"] == "epoch_changed"


def waiting(gateway: Gateway) -> int:
    """How many streams have said that they wait; lines that are alike are held back and summed."""
    lines = [line for line in gateway.log.read_text().splitlines() if "a stream waits" in line]
    return len(lines) + sum(int(held) for line in lines for held in re.findall(r"held_back=(\d+)", line))


@pytest.mark.slow
def test_more_streams_than_connections_to_redis(redis: RedisServer, spawn: Callable[..., Gateway]) -> None:
    # In the WSGI server each of them asks Redis by itself.
    one = spawn("--workers", "1", SERVER="wsgi", REDIS_URL=redis.url).wait_until_ready()
    streams = [one.subscribe("room", "?since=0") for _ in range(150)]
    publish(one, "room", "to all")
    assert {stream.next()[1]["data"] for stream in streams} == {"to all"}
    assert publish(one, "room", "goes on")["offset"] == 2
    assert {stream.next()[1]["data"] for stream in streams} == {"goes on"}
    with redis.paused():  # for as long as it takes until each of them asks, with its next heartbeat
        wait_until(lambda: waiting(one) > 0, "somebody to miss Redis")
        wait_until(lambda: waiting(one) == len(streams), "all to miss it")
    publish(one, "room", "again")
    assert {stream.next()[1]["data"] for stream in streams} == {"again"}, "none was cut"
    for stream in streams:
        stream.close()


def test_a_killed_instance_is_replaced_by_another(instances: Instances) -> None:
    one, two = instances(2)
    follower = StreamFollower(two.port, "room", since=0).follow()
    for number in range(10):
        publish(one, "room", number)
    follower.wait_for(10)
    follower.port = one.port
    two.kill_everything()
    for number in range(10, 20):
        publish(one, "room", number)
    follower.wait_for(20)
    assert (follower.place.data, follower.place.gaps) == (list(range(20)), [])
    follower.stop()


def test_every_key_has_a_ttl(redis: RedisServer, instances: Instances) -> None:
    (one,) = instances(1)
    publish(one, "room", 1, "key")
    one.history("asked")
    one.publish("forgotten", 1)
    assert one.request("DELETE", "/apps/demo/channels/forgotten/history").status == 200
    keys = list(redis.client.scan_iter())
    assert len(keys) == 5
    assert all(redis.client.ttl(key) > 0 for key in keys), [(key, redis.client.ttl(key)) for key in keys]


def test_a_user_with_the_rights_that_the_documentation_names(redis: RedisServer, spawn: Callable[..., Gateway]) -> None:
    said = (Path(__file__).parents[2] / "docs" / "instances.md").read_text()
    rights = said.partition("`ACL SETUSER polyglot on >secret ")[2].partition("`")[0].split()
    redis.client.execute_command("ACL", "SETUSER", "polyglot", "on", ">secret", *rights)
    url = redis.url.replace("unix://", "unix://polyglot:secret@")
    one = spawn("--workers", "1", REDIS_URL=url).wait_until_ready()
    stream = one.subscribe("room", "?since=0")
    assert publish(one, "room", 1)["offset"] == 1
    assert stream.next()[1]["data"] == 1
    assert one.request("DELETE", "/apps/demo/channels/room/history").status == 200
    assert json.loads(one.request("GET", "/apps/demo/channels").body)["channels"]
    stream.close()


@pytest.mark.parametrize("missing", ["-info", "resetchannels"])
def test_a_user_without_a_right_leaves_no_trace(
    redis: RedisServer, spawn: Callable[..., Gateway], missing: str
) -> None:
    redis.client.execute_command("ACL", "SETUSER", "polyglot", "on", ">secret", "~*", "&*", "+@all", missing)
    one = spawn("--workers", "1", REDIS_URL=redis.url.replace("unix://", "unix://polyglot:secret@"))
    wait_until(lambda: "polyglot: serving" in one.log.read_text(), "the gateway to serve")
    body = b'{"type":"message","data":1}'
    refused = one.request("POST", "/apps/demo/channels/room/publish", body, {"Idempotency-Key": "k"})
    assert (refused.status, json.loads(refused.body)["code"]) == (503, "engine_unavailable")
    assert not redis.client.keys("polyglot:{demo:room}*")


def test_a_full_redis_refuses_and_goes_on(redis: RedisServer, instances: Instances) -> None:
    (one,) = instances(1)
    first = publish(one, "room", 0)
    redis.client.config_set("maxmemory", 1)
    refused = one.request("POST", "/apps/demo/channels/room/publish", b'{"type":"m","data":1}')
    assert refused.status == 503
    assert "memory" in json.loads(refused.body)["error"]
    assert one.history("room")["offset"] == 1
    assert one.history("asked")["count"] == 0, "of a channel that has to be made for that"
    redis.client.config_set("maxmemory", 0)
    assert publish(one, "room", 1)["offset"] == first["offset"] + 1
