"""What becomes of events while something breaks: `python -m tests.faults` prints the table of docs/instances.md.

Two instances on one Redis. One takes publishes without a pause, each under an Idempotency-Key and sent again until it
is acknowledged; a reader of the other follows by server-sent events. In the middle something breaks, and is mended.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.followers import StreamFollower
from tests.redis_server import RedisServer, Sentinel
from tests.serving import Gateway, free_port, wait_until

VOLATILE = ("--save", "", "--appendonly", "no")
DURABLE = ("--save", "", "--appendonly", "yes", "--appendfsync", "always")
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


class Stage:
    """The parts of one run."""

    def __init__(self, stack: contextlib.ExitStack, folder: Path, options: tuple[str, ...]) -> None:
        self.stack = stack
        self.folder = folder
        self.port = free_port()
        self.redis = RedisServer(folder / "redis", *options, port=self.port)
        stack.callback(self.redis.close)
        self.url = self.redis.url
        self.gateways: list[Gateway] = []

    def start_gateways(self) -> None:
        """Two instances; one takes publishes, the other has the reader."""
        for number in range(2):
            environment = {"REDIS_URL": self.url, "DATA_DIR": f"data-{number}", "LOG_LEVEL": "error"}
            gateway = Gateway(self.folder, free_port(), ("--workers", "1"), environment)
            self.stack.callback(gateway.kill_everything)
            self.gateways.append(gateway)
        for gateway in self.gateways:
            gateway.wait_until_ready()


class Publisher(threading.Thread):
    """Publishes until it is stopped."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.acks: list[tuple[str, int, str]] = []  # epoch, offset, data
        self.longest = 0.0
        self.stopped = threading.Event()

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        last = time.monotonic()
        while not self.stopped.is_set():
            key = str(uuid.uuid4())
            body = json.dumps({"type": "message", "data": key}).encode()
            while (ack := self._send(connection, key, body)) is None:
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


class Reader(StreamFollower):
    """Counts what comes twice instead of failing."""

    duplicated = 0

    def _read(self) -> None:
        before = len(self.place.got)
        kind, gaps = None, len(self.place.gaps)
        super()._read()
        kind = "gap" if len(self.place.gaps) > gaps else "event"
        if kind == "event" and len(self.place.got) == before:
            self.duplicated += 1


Fault = Callable[[Stage], None]


def kill_and_start(stage: Stage) -> None:
    stage.redis.kill()
    time.sleep(1)
    stage.redis.start()


def save_and_kill(stage: Stage) -> None:
    stage.redis.client.save()
    time.sleep(0.5)  # what comes now is lost
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


class Scenario(NamedTuple):
    """Something that breaks."""

    fault: Fault
    options: tuple[str, ...] = VOLATILE
    prepare: Fault | None = None


SCENARIOS = {
    "Redis killed, started empty": Scenario(kill_and_start),
    "Redis killed, started with all of its data": Scenario(kill_and_start, DURABLE),
    "Redis killed, started with a snapshot": Scenario(save_and_kill),
    "Redis answers nobody for 10 s": Scenario(pause),
    "Redis killed, a replica takes over (Sentinel)": Scenario(fail_over, VOLATILE, with_sentinel),
    "all connections to Redis cut": Scenario(cut_connections),
    "`FLUSHALL`": Scenario(flush),
    "eviction (`maxmemory`)": Scenario(evict),
    "the reader's instance killed": Scenario(kill_reader_instance),
}


def run(scenario: Scenario, folder: Path) -> Counts:
    """Break one thing, and count."""
    with contextlib.ExitStack() as stack:
        stage = Stage(stack, folder, scenario.options)
        if scenario.prepare:
            scenario.prepare(stage)
        stage.start_gateways()
        reader = Reader(stage.gateways[1].port, "room", since=0)
        reader.follow()
        publisher = Publisher(stage.gateways[0].port)
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
        return count(publisher, reader)


def count(publisher: Publisher, reader: Reader) -> Counts:
    got, gaps = reader.place.got, reader.place.gaps
    missing = [(epoch, offset) for epoch, offset, data in publisher.acks if got.get((epoch, offset)) != data]
    # Under one epoch a gap names what it covers; one that ends an epoch covers all that had not come of it.
    ended = {epoch for epoch, _ in got} - {publisher.acks[-1][0]} if gaps else set()
    silent = [
        (epoch, offset)
        for epoch, offset in missing
        if epoch not in ended and not any(gap["epoch"] == epoch and gap["from"] <= offset <= gap["to"] for gap in gaps)
    ]
    return Counts(
        len(publisher.acks), len(publisher.acks) - len(missing), reader.duplicated, len(missing), len(gaps),
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
