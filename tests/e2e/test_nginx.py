"""Nginx before three instances on one Redis: together they are one gateway, whichever of them comes and goes."""

import contextlib
import http.client
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.followers import StreamFollower
from tests.nginx import Nginx
from tests.processes import connections
from tests.redis_server import RedisServer
from tests.serving import PATIENCE, Gateway, free_port, wait_until
from tests.websocket import WebSocket

EVENT = b'{"type":"message","data":1}'


@pytest.fixture
def start_instance(tmp_path: Path, spawn: Callable[..., Gateway]) -> Iterator[Callable[..., Gateway]]:
    """Starts an instance on a port; all share a Redis, and each port has a data folder of its own."""
    redis = RedisServer(tmp_path / "redis", "--save", "", "--appendonly", "no")

    def start(port: int) -> Gateway:
        # Room for what is published while a reader is between two instances.
        room = {"HISTORY_SIZE": "50000", "HISTORY_BYTES": str(64 << 20)}
        data = f"data-{port}"
        return spawn("--workers", "1", port=port, REDIS_URL=redis.url, DATA_DIR=data, LOG_LEVEL="error", **room)

    yield start
    redis.close()


@pytest.fixture
def instances(start_instance: Callable[..., Gateway]) -> list[Gateway]:
    started = [start_instance(free_port()) for _ in range(3)]
    return [instance.wait_until_ready() for instance in started]


@pytest.fixture
def nginx(tmp_path: Path, instances: list[Gateway]) -> Iterator[Nginx]:
    nginx = Nginx(tmp_path / "nginx", free_port(), [instance.port for instance in instances])
    yield nginx
    nginx.close()


def ask(
    port: int, method: str, path: str, body: bytes | None = None, source: str = "127.0.0.1", **headers: str
) -> http.client.HTTPResponse:
    """One request on a connection of its own, from an address of this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", port, PATIENCE, source_address=(source, 0))
    with contextlib.closing(connection):
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"X-API-Key": "valid_key_demo", **sent})
        response = connection.getresponse()
        response.body = response.read()
        return response


def publishes_of(instance: Gateway) -> float:
    """How many publishes it has taken."""
    text = instance.request("GET", "/metrics").body.decode()
    return float(text.partition("\npolyglot_publishes_total ")[2].split()[0])


class Publishers:
    """Publish through Nginx on kept connections, each event under a key and once, until they are told to stop."""

    def __init__(self, port: int, channel: str, count: int = 4) -> None:
        self.acks: dict[int, str] = {}
        self.failures: list[tuple[int, bytes]] = []
        self._path = f"/apps/demo/channels/{channel}/publish"
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(port,)) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self, port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, PATIENCE)
        while not self._stop.is_set():
            key = str(uuid.uuid4())
            body = json.dumps({"type": "message", "data": key}).encode()
            headers = {"X-API-Key": "valid_key_demo", "Idempotency-Key": key}
            while True:
                connection.request("POST", self._path, body, headers)
                response = connection.getresponse()
                try:
                    answer = response.read()
                    break
                except http.client.IncompleteRead:  # its instance was killed within its answer
                    connection.close()
            if response.status == 200:
                self.acks[json.loads(answer)["offset"]] = key
            else:
                self.failures.append((response.status, answer))
        connection.close()

    def wait_for(self, more: int) -> None:
        """Return when so many more were acknowledged."""
        enough = len(self.acks) + more
        wait_until(lambda: self.failures or len(self.acks) >= enough, f"{more} more acknowledgements")

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)


def test_the_configuration_is_right(nginx: Nginx) -> None:
    assert nginx.check.returncode == 0, nginx.check.stderr
    assert "warn" not in nginx.check.stderr


def test_three_are_as_one(nginx: Nginx, instances: list[Gateway]) -> None:
    follower = StreamFollower(nginx.port, "room", since=0).follow()
    answers = [ask(nginx.port, "POST", "/apps/demo/channels/room/publish", EVENT) for _ in range(30)]
    assert [json.loads(answer.body)["offset"] for answer in answers] == list(range(1, 31))
    follower.wait_for(30)
    assert follower.returns == 0
    follower.stop()
    assert json.loads(ask(nginx.port, "GET", "/apps/demo/channels/room/history").body)["count"] == 30
    took = [publishes_of(instance) for instance in instances]
    assert sum(took) == 30
    assert sum(map(bool, took)) >= 2, "the one that has the stream may get none: it has a connection more"


def test_connections_to_the_instances_are_kept(nginx: Nginx, instances: list[Gateway]) -> None:
    for _ in range(60):
        assert ask(nginx.port, "GET", "/alive").status == 200
    held = [connections(instance.workers()[0]) for instance in instances]
    assert sum(held) < 30, held


def test_the_clients_address_is_the_one_that_nginx_saw(nginx: Nginx, instances: list[Gateway]) -> None:
    ask(
        nginx.port, "POST", "/apps/demo/channels/room/publish", EVENT, source="127.0.0.2", X_Forwarded_For="6.6.6.6"
    )  # fmt: skip
    (event,) = instances[0].history("room")["events"]
    assert event["meta"]["source_ip"] == "127.0.0.2"


def test_what_nginx_refuses_is_a_problem_document(nginx: Nginx, instances: list[Gateway]) -> None:
    too_large = ask(nginx.port, "POST", "/apps/demo/channels/room/publish", b"x" * ((1 << 20) + 1))
    assert (too_large.status, json.loads(too_large.body)["code"]) == (413, "payload_too_large")
    largest = ask(nginx.port, "POST", "/apps/demo/publish", b"x" * (1 << 20))
    assert (largest.status, json.loads(largest.body)["code"]) == (400, "invalid_json")
    for instance in instances:
        instance.kill_everything()
    gone = ask(nginx.port, "POST", "/apps/demo/channels/room/publish", EVENT)
    assert (gone.status, json.loads(gone.body)["code"]) == (503, "engine_unavailable")
    assert gone.headers["Retry-After"] == "1"
    assert gone.headers["Content-Type"] == "application/problem+json"


def test_health_is_not_logged_and_metrics_are_not_for_everybody(nginx: Nginx) -> None:
    assert ask(nginx.port, "GET", "/health").status == 200
    assert ask(nginx.port, "GET", "/metrics").status == 200
    assert ask(nginx.port, "GET", "/metrics", source="127.0.0.2").status == 403
    wait_until(lambda: "GET /metrics" in nginx.log(), "the log")
    assert "/health" not in nginx.log()


def test_sockets_are_upgraded_and_nothing_else_is(tmp_path: Path, start: Callable[..., Gateway]) -> None:
    gateway = start(TRUSTED_PROXIES="127.0.0.1")
    nginx = Nginx(tmp_path / "nginx", free_port(), [gateway.port])
    try:
        socket = WebSocket(nginx.port)
        socket.join("room")
        answer = ask(nginx.port, "POST", "/apps/demo/channels/room/publish", EVENT, Connection="keep-alive")
        assert answer.status == 200
        assert socket.next("event").payload["offset"] == 1
        socket.close()
        assert ask(nginx.port, "GET", "/socket/websocket?vsn=2.0.0").status == 400
    finally:
        nginx.close()


def test_an_instance_that_cannot_serve_is_passed_over(nginx: Nginx, instances: list[Gateway]) -> None:
    """A killed one costs nobody an answer: what reached it and carries a key is safe to send to another."""
    publishers = Publishers(nginx.port, "room")
    follower = StreamFollower(nginx.port, "room", since=0).follow()
    publishers.wait_for(100)
    instances[0].kill_everything()
    publishers.wait_for(100)
    instances[1].kill_everything()
    publishers.wait_for(100)
    publishers.stop()
    assert publishers.failures == []
    assert sorted(publishers.acks) == list(range(1, len(publishers.acks) + 1)), "each was kept once"
    follower.wait_for(len(publishers.acks))
    assert follower.place.data == [publishers.acks[offset] for offset in sorted(publishers.acks)]
    assert not follower.place.gaps
    follower.stop()


def test_a_rolling_restart_under_load_fails_no_publish(
    nginx: Nginx, instances: list[Gateway], start_instance: Callable[..., Gateway]
) -> None:
    publishers = Publishers(nginx.port, "room")
    followers = [StreamFollower(nginx.port, "room", since=0).follow() for _ in range(6)]
    for instance in instances:
        publishers.wait_for(100)
        assert instance.stop() == 0
        publishers.wait_for(100)
        again = start_instance(instance.port).wait_until_ready()
        wait_until(partial(publishes_of, again), "the restarted instance to be asked again")
    publishers.stop()
    assert publishers.failures == []
    assert sorted(publishers.acks) == list(range(1, len(publishers.acks) + 1)), "each was kept once"
    for follower in followers:
        follower.wait_for(len(publishers.acks))
        assert follower.place.data == [publishers.acks[offset] for offset in sorted(publishers.acks)]
        assert not follower.place.gaps
        follower.stop()
