"""What becomes of events while something breaks: `python -m tests.faults` prints the table of docs/instances.md.

Two instances on one Redis. One takes publishes without a pause, each under an Idempotency-Key and sent again until it
is acknowledged; a reader of the other follows by server-sent events. In the middle something breaks, and is mended.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.followers import Place, StreamFollower
from tests.redis_server import RedisCluster, RedisServer, Sentinel
from tests.serving import POLYGLOT, Gateway, free_port, wait_until

VOLATILE = ("--save", "", "--appendonly", "no")
DURABLE = ("--save", "", "--appendonly", "yes", "--appendfsync", "always")
KEY = "polyglot:{demo:room}"
BEFORE = AFTER = 200
"""So many events are acknowledged before something breaks, and again once it is mended."""


class Counts(NamedTuple):
    """What became of the events that were acknowledged."""

    acknowledged: int
    delivered: int
    duplicated: int
    """Came twice under one position."""
    missing: int
    """Were not delivered."""
    gaps: int
    """The reader was told of."""
    silent: int
    """Were neither delivered nor covered by a gap: must be 0."""
    longest: float
    """Seconds between two acknowledgements, at most."""


class Network:
    """A network namespace for one instance, with one link to its clients and another to Redis, which can be cut."""

    client_host = "10.231.1.2"
    redis_host = "10.231.2.1"

    def __init__(self) -> None:
        self.name = f"polyglot-{os.getpid()}"
        self._ip("netns", "add", self.name)
        for number, subnet in enumerate((self.client_host, self.redis_host)):
            outside, inside = f"pg{number}o{os.getpid() % 10**6}", f"pg{number}i"
            network = subnet.rpartition(".")[0]
            self._ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", self.name)
            self._ip("addr", "add", f"{network}.1/30", "dev", outside)
            self._ip("link", "set", outside, "up")
            self._ip("-n", self.name, "addr", "add", f"{network}.2/30", "dev", inside)
            self._ip("-n", self.name, "link", "set", inside, "up")

    @staticmethod
    def _ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True)

    def gateway(self, folder: Path, port: int, arguments: tuple[str, ...], environment: dict[str, str]) -> Gateway:
        """An instance in the namespace."""
        command = ("ip", "netns", "exec", self.name, *POLYGLOT, "serve", "--bind", f"0.0.0.0:{port}")
        return Gateway(folder, port, arguments, environment, command, host=self.client_host)

    @contextlib.contextmanager
    def cut(self) -> Iterator[None]:
        """Nothing passes between the instance and Redis, and neither is told."""
        self._ip("-n", self.name, "link", "set", "pg1i", "down")
        try:
            yield
        finally:
            self._ip("-n", self.name, "link", "set", "pg1i", "up")

    def close(self) -> None:
        """Remove it, and the links with it."""
        self._ip("netns", "del", self.name)


class Stage:
    """The parts of one run."""

    def __init__(
        self, stack: contextlib.ExitStack, folder: Path, options: tuple[str, ...], network: Network | None
    ) -> None:
        self.stack = stack
        self.folder = folder
        self.port = free_port()
        self.network = network
        host = network.redis_host if network else "127.0.0.1"
        self.redis = RedisServer(folder / "redis", *options, port=self.port, host=host)
        stack.callback(self.redis.close)
        self.url = self.redis.url
        self.cluster: RedisCluster
        self.gateways: list[Gateway] = []
        self.publisher: Publisher

    def start_gateways(self) -> None:
        """Two instances; one takes publishes, the other has the reader."""
        for number in range(2):
            environment = {"REDIS_URL": self.url, "DATA_DIR": f"data-{number}", "LOG_LEVEL": "error"}
            arguments = ("--workers", "1")
            if self.network and number == 0:
                gateway = self.network.gateway(self.folder, free_port(), arguments, environment)
            else:
                gateway = Gateway(self.folder, free_port(), arguments, environment)
            self.stack.callback(gateway.kill_everything)
            self.gateways.append(gateway)
        for gateway in self.gateways:
            gateway.wait_until_ready()


class Publisher(threading.Thread):
    """Publishes until it is stopped."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(daemon=True)
        self.host = host
        self.port = port
        self.acks: list[tuple[str, int, str]] = []  # epoch, offset, data
        self.refused = 0
        self.longest = 0.0
        self.stopped = threading.Event()

    def run(self) -> None:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        last = time.monotonic()
        while not self.stopped.is_set():
            key = str(uuid.uuid4())
            body = json.dumps({"type": "message", "data": key}).encode()
            while (ack := self._send(connection, key, body)) is None:
                self.refused += 1
                if self.stopped.wait(0.02):
                    return
            self.acks.append((ack["epoch"], ack["offset"], key))
            self.longest = max(self.longest, time.monotonic() - last)
            last = time.monotonic()

    @staticmethod
    def _send(connection: http.client.HTTPConnection, key: str, body: bytes) -> dict | None:
        headers = {"X-API-Key": "valid_key_demo", "Content-Type": "application/json", "Idempotency-Key": key}
        try:
            connection.request("POST", "/apps/demo/channels/room/publish", body, headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException):
            connection.close()
            return None
        assert response.status in (200, 503), answer
        return answer if response.status == 200 else None

    def wait_for(self, more: int) -> None:
        """Return when so many more are acknowledged."""
        enough = len(self.acks) + more
        wait_until(lambda: len(self.acks) >= enough, f"{more} more acknowledgements")

    def wait_for_refusals(self, more: int) -> None:
        """Return when so many more were not acknowledged."""
        enough = self.refused + more
        wait_until(lambda: self.refused >= enough, f"{more} more refusals")


class CountingPlace(Place):
    """Counts what comes twice instead of failing."""

    duplicated = 0

    def take(self, kind: str, payload: dict[str, Any]) -> None:
        if kind == "event" and (self.epoch, payload["offset"]) in self.got:
            self.duplicated += 1
        else:
            super().take(kind, payload)


Fault = Callable[[Stage], None]


def kill_and_start(stage: Stage) -> None:
    stage.redis.kill()
    stage.publisher.wait_for_refusals(20)
    stage.redis.start()


def save_and_kill(stage: Stage) -> None:
    stage.redis.client.save()
    stage.publisher.wait_for(50)  # these are lost
    kill_and_start(stage)


def pause(stage: Stage) -> None:
    with stage.redis.paused():
        time.sleep(10)


def flush(stage: Stage) -> None:
    stage.redis.client.flushall()


def evict(stage: Stage) -> None:
    stage.redis.client.config_set("maxmemory-policy", "allkeys-lru")
    stage.redis.client.config_set("maxmemory", 1)
    wait_until(lambda: stage.redis.client.info("stats")["evicted_keys"], "an eviction")
    stage.redis.client.config_set("maxmemory", 0)


def cut_connections(stage: Stage) -> None:
    for kind in ("normal", "pubsub"):
        stage.redis.client.client_kill_filter(_type=kind, skipme=True)


def cut_network(stage: Stage) -> None:
    assert stage.network
    with stage.network.cut():
        time.sleep(5)


def kill_reader_instance(stage: Stage) -> None:
    stage.gateways[1].kill_everything()


def fail_over(stage: Stage) -> None:
    stage.redis.kill()


def with_sentinel(stage: Stage) -> None:
    """A replica, and a Sentinel that knows both."""
    port = free_port()
    follows = ("--replicaof", "127.0.0.1", str(stage.port), "--repl-diskless-sync-delay", "0")
    replica = RedisServer(stage.folder / "replica", *VOLATILE, *follows, port=port)
    stage.stack.callback(replica.close)
    wait_until(lambda: replica.client.info("replication")["master_link_status"] == "up", "the replica")
    sentinel = Sentinel(stage.folder / "sentinel", free_port(), stage.port)
    stage.stack.callback(sentinel.close)
    wait_until(lambda: sentinel.client.sentinel_slaves("mymaster"), "the Sentinel to know the replica")
    stage.url = sentinel.url


def with_cluster(stage: Stage) -> None:
    """Three masters, each with a replica, in place of the one Redis."""
    stage.cluster = RedisCluster(stage.folder / "cluster", replicas=1)
    stage.stack.callback(stage.cluster.close)
    stage.url = stage.cluster.url


def kill_master(stage: Stage) -> None:
    stage.cluster.master_of(KEY).kill()


def move_slot(stage: Stage) -> None:
    source = stage.cluster.master_of(KEY)
    target = next(master for master in stage.cluster.masters if master is not source)
    with stage.cluster.moving(KEY, target):
        stage.publisher.wait_for_refusals(20)


class Scenario(NamedTuple):
    """Something that breaks."""

    fault: Fault
    options: tuple[str, ...] = VOLATILE
    prepare: Fault | None = None
    network: bool = False
    """In a network namespace, which takes root."""


SCENARIOS = {
    "Redis killed, started empty": Scenario(kill_and_start),
    "Redis killed, started with all of its data": Scenario(kill_and_start, DURABLE),
    "Redis killed, started with a snapshot": Scenario(save_and_kill),
    "Redis answers nobody for 10 s": Scenario(pause),
    "Redis killed, a replica takes over (Sentinel)": Scenario(fail_over, VOLATILE, with_sentinel),
    "a master of a cluster killed, its replica takes over": Scenario(kill_master, VOLATILE, with_cluster),
    "the channel's slot moves to another master of the cluster": Scenario(move_slot, VOLATILE, with_cluster),
    "all connections to Redis cut": Scenario(cut_connections),
    "the network between an instance and Redis cut for 5 s": Scenario(cut_network, network=True),
    "`FLUSHALL`": Scenario(flush),
    "eviction (`maxmemory`)": Scenario(evict),
    "the reader's instance killed": Scenario(kill_reader_instance),
}


def run(scenario: Scenario, folder: Path) -> Counts:
    """Break one thing, and count."""
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(contextlib.closing(Network())) if scenario.network else None
        stage = Stage(stack, folder, scenario.options, network)
        if scenario.prepare:
            scenario.prepare(stage)
        stage.start_gateways()
        reader = StreamFollower(stage.gateways[1].port, "room", since=0)
        reader.place = place = CountingPlace()
        reader.follow()
        publisher = stage.publisher = Publisher(stage.gateways[0].host, stage.gateways[0].port)
        publisher.start()
        publisher.wait_for(BEFORE)
        if scenario.fault is kill_reader_instance:
            reader.port = stage.gateways[0].port
        scenario.fault(stage)
        publisher.wait_for(AFTER)
        publisher.stopped.set()
        publisher.join()
        wait_until(lambda: reader.failure or publisher.acks[-1][:2] in reader.place.got, "the last event")
        reader.stop()
        return count(publisher, place)


def count(publisher: Publisher, place: CountingPlace) -> Counts:
    got, gaps = place.got, place.gaps
    missing = [(epoch, offset) for epoch, offset, data in publisher.acks if got.get((epoch, offset)) != data]
    # Under one epoch a gap names what it covers; one that ends an epoch covers all that had not come of it.
    ended = {epoch for epoch, _ in got} - {publisher.acks[-1][0]} if gaps else set()
    silent = [
        (epoch, offset)
        for epoch, offset in missing
        if epoch not in ended and not any(gap["epoch"] == epoch and gap["from"] <= offset <= gap["to"] for gap in gaps)
    ]
    return Counts(
        len(publisher.acks), len(publisher.acks) - len(missing), place.duplicated, len(missing), len(gaps),
        len(silent), publisher.longest,
    )  # fmt: skip


def rows() -> Iterator[str]:
    """The table, line by line."""
    yield "| what breaks | acknowledged | delivered | duplicated | missing | gaps told | neither | longest pause |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, scenario in SCENARIOS.items():
        with tempfile.TemporaryDirectory() as folder:
            counts = run(scenario, Path(folder))
        figures = " | ".join(f"{figure:,}" for figure in counts[:-1])
        yield f"| {name} | {figures} | {counts.longest:.1f} s |"


if __name__ == "__main__":
    for row in rows():
        print(row, flush=True)
    sys.exit(0)
