"""ON_ENGINE_DOWN=spool: what is acknowledged while Redis does not answer is delivered later, once and in order."""

import contextlib
import http.client
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.followers import StreamFollower
from tests.redis_server import RedisServer
from tests.serving import PATIENCE, Gateway, free_port, wait_until
from tests.websocket import WebSocket

VOLATILE = ("--save", "", "--appendonly", "no")
DURABLE = ("--save", "", "--appendonly", "yes", "--appendfsync", "always")
SERVERS = ["native", "wsgi"]
EVENT = b'{"type":"message","data":1}'
PUBLISH = "/apps/demo/channels/room/publish"


@pytest.fixture
def redis(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis", *getattr(request, "param", VOLATILE))
    yield server
    server.close()


@pytest.fixture(params=SERVERS)
def instance(
    redis: RedisServer, spawn: Callable[..., Gateway], request: pytest.FixtureRequest
) -> Callable[..., Gateway]:
    """Starts an instance on this data folder, with two workers."""

    def start(data_dir: str = "data", **environment: str) -> Gateway:
        settings = {"REDIS_URL": redis.url, "DATA_DIR": data_dir, "ON_ENGINE_DOWN": "spool", **environment}
        return spawn("--workers", "2", SERVER=request.param, **settings).wait_until_ready()

    return start


class Publisher(threading.Thread):
    """Publishes numbers over one connection, and so to one worker; sends nothing again."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        super().__init__(daemon=True)
        self.port = gateway.port
        self.label = name
        self.kept: list[str] = []  # answered 200
        self.spooled: list[str] = []
        self.after: list[str] = []  # answered 200 since then
        self.refused: list[Any] = []
        self.stopped = threading.Event()

    def run(self) -> None:
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection,
        ):
            number = 0
            while not self.stopped.is_set():
                self._publish(connection, f"{self.label}:{number}", number % 3 == 0)
                number += 1

    def _publish(self, connection: http.client.HTTPConnection, data: str, keyed: bool) -> None:
        headers = {"X-API-Key": "valid_key_demo", "Content-Type": "application/json"}
        if keyed:
            headers["Idempotency-Key"] = data
        connection.request("POST", PUBLISH, json.dumps({"type": "message", "data": data}), headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
        if response.status == 202:
            assert set(answer) == {"id", "timestamp", "spooled"}
            self.spooled.append(data)
        elif response.status == 200:
            (self.after if self.spooled else self.kept).append(data)
        else:
            self.refused.append(answer)

    def stop(self) -> None:
        self.stopped.set()
        self.join()


@pytest.fixture
def publishers() -> Iterator[Callable[[Gateway], list[Publisher]]]:
    started: list[Publisher] = []

    def start(gateway: Gateway) -> list[Publisher]:
        started.extend(Publisher(gateway, f"p{number}") for number in range(4))
        for publisher in started:
            publisher.start()
        return started

    yield start
    for publisher in started:
        publisher.stop()


def metric(gateway: Gateway, name: str) -> int:
    lines = gateway.request("GET", "/metrics").body.decode().splitlines()
    (value,) = [line.split()[1] for line in lines if line.startswith(f"{name} ")]
    return int(float(value))


def is_empty(gateway: Gateway) -> bool:
    return metric(gateway, "polyglot_spool_events") == 0 and metric(gateway, "polyglot_spool_bytes") == 0


def everything(gateway: Gateway, channel: str = "room") -> list[Any]:
    """The data of all events of the channel."""
    events: list[Any] = []
    while page := gateway.history(channel, f"limit=1000&since={len(events)}")["events"]:
        events += [event["data"] for event in page]
    return events


def check(found: list[Any], publishers: list[Publisher], *, lost: bool) -> None:
    """What was acknowledged is there once, in each worker's order; when Redis lost all, what it had had is not."""
    assert [name for name, times in Counter(found).items() if times > 1] == []
    for publisher in publishers:
        assert publisher.refused == []
        mine = [name for name in found if name.startswith(f"{publisher.label}:")]
        acknowledged = publisher.spooled + publisher.after
        assert mine == (acknowledged if lost else publisher.kept + acknowledged)


@pytest.mark.parametrize("redis", [DURABLE, VOLATILE], indirect=True, ids=["with its data", "empty"])
def test_what_is_acknowledged_while_redis_is_gone_is_delivered_once(
    redis: RedisServer,
    instance: Callable[..., Gateway],
    publishers: Callable[[Gateway], list[Publisher]],
    request: pytest.FixtureRequest,
) -> None:
    settings = {"HISTORY_SIZE": "65000", "LOG_LEVEL": "error"}
    one, two = instance("one", **settings), instance("two", **settings)
    follower = StreamFollower(two.port, "room", since=0).follow()
    running = publishers(one)
    wait_until(lambda: all(len(one.kept) >= 50 for one in running), "events in Redis")
    redis.kill()
    wait_until(lambda: all(len(one.spooled) >= 50 for one in running), "events in the spool")
    assert one.is_ready()
    health = json.loads(one.request("GET", "/health").body)
    assert health["status"] == "degraded"
    assert "waits here" in health["reasons"][0]
    assert metric(one, "polyglot_spool_events") >= 200
    redis.start()
    wait_until(lambda: all(len(one.after) >= 20 for one in running), "events in Redis again")
    for publisher in running:
        publisher.stop()
    wait_until(lambda: is_empty(one), "the spool to be empty")
    found = everything(two)
    check(found, running, lost="empty" in request.node.name)
    spooled = sum(len(one.spooled) for one in running)
    assert metric(one, "polyglot_spooled_total") == metric(one, "polyglot_forwarded_total") == spooled
    epoch = two.history("room", "limit=1")["epoch"]

    def delivered() -> list[Any]:
        return [data for (of, _), data in follower.place.got.items() if of == epoch]

    wait_until(lambda: follower.failure or len(delivered()) == len(found), "the subscriber to get them")
    assert delivered() == found
    follower.stop()


def test_what_comes_while_redis_is_a_replica_waits(
    redis: RedisServer, instance: Callable[..., Gateway], publishers: Callable[[Gateway], list[Publisher]]
) -> None:
    one = instance(HISTORY_SIZE="65000", LOG_LEVEL="error")
    running = publishers(one)
    wait_until(lambda: all(len(one.kept) >= 50 for one in running), "events in Redis")
    redis.follow(free_port())
    wait_until(lambda: all(len(one.spooled) >= 50 for one in running), "events in the spool")
    assert one.is_ready()
    assert json.loads(one.request("GET", "/health").body)["reasons"][0].startswith("Redis is a replica")
    redis.lead()
    wait_until(lambda: all(len(one.after) >= 20 for one in running), "events in Redis again")
    for publisher in running:
        publisher.stop()
    wait_until(lambda: is_empty(one), "the spool to be empty")
    check(everything(one), running, lost=False)


def test_what_comes_while_redis_loads_its_data_waits(redis: RedisServer, instance: Callable[..., Gateway]) -> None:
    one = instance(LOG_LEVEL="error")
    assert one.request("POST", PUBLISH, EVENT).status == 200
    with redis.loading():
        for _ in range(4):
            assert one.request("POST", PUBLISH, EVENT).status == 202
        health = wait_until(lambda: json.loads(one.request("GET", "/health").body)["reasons"], "it to be said")
        assert health[0].startswith("Redis is loading its data.")
    wait_until(lambda: is_empty(one), "the spool to be empty")
    assert everything(one) == [1] * 5


@pytest.mark.parametrize("redis", [DURABLE], indirect=True)
def test_a_gateway_that_is_killed_while_events_wait(
    redis: RedisServer, instance: Callable[..., Gateway], publishers: Callable[[Gateway], list[Publisher]]
) -> None:
    one = instance(HISTORY_SIZE="65000")
    running = publishers(one)
    wait_until(lambda: all(len(one.kept) >= 20 for one in running), "events in Redis")
    redis.kill()
    wait_until(lambda: all(len(one.spooled) >= 50 for one in running), "events in the spool")
    one.kill_everything()
    for publisher in running:
        publisher.stop()
    one = instance(HISTORY_SIZE="65000")
    wait_until(lambda: metric(one, "polyglot_spool_events") >= 200, "what was left to be found")
    redis.start()
    wait_until(lambda: is_empty(one), "the spool to be empty")
    found = everything(one)
    assert [name for name, times in Counter(found).items() if times > 1] == []
    for publisher in running:
        mine = [name for name in found if name.startswith(f"{publisher.label}:")]
        acknowledged = publisher.kept + publisher.spooled
        # One more may have been written when nobody could answer any more.
        assert mine[: len(acknowledged)] == acknowledged
        assert len(mine) - len(acknowledged) in (0, 1)
    files = one.folder / "data" / "spool"
    wait_until(lambda: len(list(files.iterdir())) == 2, "no file but those of the workers")


def test_a_worker_that_is_killed_leaves_its_events_to_the_others(
    redis: RedisServer, instance: Callable[..., Gateway]
) -> None:
    one = instance()
    redis.kill()
    for number in range(20):
        body = json.dumps({"type": "message", "data": number}).encode()
        assert one.request("POST", PUBLISH, body).status == 202
    for pid in one.workers():
        os.kill(pid, signal.SIGKILL)
    redis.start()
    wait_until(one.is_ready, "workers")
    wait_until(lambda: is_empty(one), "the spool to be empty")
    assert sorted(everything(one)) == list(range(20))


def test_a_stop_leaves_what_waits_to_the_next_start(redis: RedisServer, instance: Callable[..., Gateway]) -> None:
    one = instance()
    redis.kill()
    assert one.request("POST", PUBLISH, EVENT).status == 202
    assert one.stop() == 0
    redis.start()
    two = instance(ON_ENGINE_DOWN="fail")
    wait_until(lambda: "1 acknowledged events wait" in two.log.read_text(), "it to be said")
    two.kill_everything()
    three = instance()
    wait_until(lambda: is_empty(three), "the spool to be empty")
    assert everything(three) == [1]


def test_batches_and_broadcasts_wait_too(redis: RedisServer, instance: Callable[..., Gateway]) -> None:
    one = instance()
    redis.kill()
    events = [{"channel": "a", "type": "t", "data": 1}, {"channel": "no spaces", "type": "t", "data": 1}]
    answer = one.request("POST", "/apps/demo/publish", json.dumps({"events": events}).encode())
    assert answer.status == 200
    waits, refused = json.loads(answer.body)["results"]
    assert (set(waits), waits["spooled"]) == ({"channel", "id", "timestamp", "spooled"}, True)
    assert refused["code"] == "invalid_channel"
    body = json.dumps({"channels": ["a", "b"], "type": "t", "data": 2}).encode()
    answer = one.request("POST", "/apps/demo/broadcast", body)
    assert [(one["channel"], one["spooled"]) for one in json.loads(answer.body)["results"]] == [
        ("a", True),
        ("b", True),
    ]
    redis.start()
    wait_until(lambda: is_empty(one), "the spool to be empty")
    assert (sorted(everything(one, "a")), everything(one, "b")) == ([1, 2], [2])


def test_the_same_key_gives_the_same_answer(redis: RedisServer, instance: Callable[..., Gateway]) -> None:
    one = instance(WORKERS="1")
    redis.kill()
    connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=PATIENCE)

    def publish(body: bytes) -> tuple[int, str | None, dict[str, Any]]:
        headers = {"X-API-Key": "valid_key_demo", "Content-Type": "application/json", "Idempotency-Key": "key"}
        connection.request("POST", PUBLISH, body, headers)
        response = connection.getresponse()
        return response.status, response.headers["Idempotency-Replayed"], json.loads(response.read())

    first = publish(EVENT)
    assert first[:2] == (202, None)
    assert publish(EVENT) == (202, "true", first[2])
    assert publish(EVENT.replace(b"1", b"2"))[0] == 422
    redis.start()
    wait_until(lambda: is_empty(one), "the spool to be empty")
    status, replayed, ack = publish(EVENT)
    assert (status, replayed, ack["id"], ack["offset"]) == (200, "true", first[2]["id"], 1)
    assert everything(one) == [1]
    connection.close()


def test_a_spool_that_is_full_refuses(redis: RedisServer, instance: Callable[..., Gateway]) -> None:
    one = instance(SPOOL_BYTES="65536", LOG_LEVEL="error")
    redis.kill()
    body = json.dumps({"type": "t", "data": "x" * 10_000}).encode()
    taken = 0
    statuses: list[int] = []
    while not statuses.count(503) > 4:
        statuses.append(one.request("POST", PUBLISH, body).status)
    assert set(statuses) == {202, 503}
    taken = statuses.count(202)
    refused = json.loads(one.request("POST", PUBLISH, body).body)
    assert refused["code"] == "engine_unavailable"
    assert "The spool is full." in refused["error"]
    assert metric(one, "polyglot_spool_full_total") == 6
    assert metric(one, "polyglot_spool_bytes") <= 2 * 65536
    ready = wait_until(lambda: (r := one.request("GET", "/ready")).status == 503 and r, "/ready to say it")
    assert json.loads(ready.body)["reasons"][0].endswith("The spool is full.")
    redis.start()
    wait_until(lambda: is_empty(one), "the spool to be empty")
    assert len(everything(one)) == taken


def test_sockets_are_told_that_their_events_wait(redis: RedisServer, spawn: Callable[..., Gateway]) -> None:
    settings = {"REDIS_URL": redis.url, "ON_ENGINE_DOWN": "spool"}
    one = spawn("--workers", "1", **settings).wait_until_ready()
    with contextlib.closing(WebSocket(one.port)) as socket:
        socket.join("room")
        redis.kill()
        for number in range(3):
            assert set(socket.publish("room", number)) == {"id", "timestamp", "spooled"}
        redis.start()
        got = []
        while len(got) < 3:
            message = socket.next("event", "gap")
            if message.event == "event":
                got.append(message.payload["data"])
        assert got == [0, 1, 2]
