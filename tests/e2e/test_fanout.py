"""What one worker takes, all of them deliver: to every subscriber, in order, once, also across a worker's death."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.followers import KINDS, Follower, Publisher, SocketFollower
from tests.processes import only, serving_workers
from tests.serving import Gateway, free_port, wait_until
from tests.websocket import WebSocket

Kind = Callable[..., Follower]


LONG = {"HISTORY_SIZE": "20000", "HISTORY_BYTES": str(64 << 20), "MAX_CHANNELS": "100"}
"""Nothing is overwritten before the slowest of the subscribers has had it."""


@pytest.fixture(scope="module")
def long_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path_factory.mktemp("long"), free_port(), ("--workers", "2"), LONG)
    yield gateway.wait_until_ready()
    gateway.kill_everything()


@pytest.fixture
def pair(long_gateway: Gateway) -> Iterator[tuple[Gateway, list[Publisher]]]:
    """A gateway with two workers, and a publisher at each of them."""
    publishers = []
    for worker in serving_workers(long_gateway):
        with only(long_gateway, worker):
            publishers.append(Publisher(long_gateway.port))
            publishers[-1].publish("room:nobody", 0)  # so that it was taken
            publishers[-1].sent.clear()
    yield long_gateway, publishers
    for publisher in publishers:
        publisher.close()


@contextlib.contextmanager
def followers_everywhere(gateway: Gateway, channel: str, **where: Any) -> Iterator[list[Follower]]:
    """One of each kind at each worker; none of them misses anything."""
    followers: list[Follower] = []
    for worker in gateway.workers():
        with only(gateway, worker):
            followers += [kind(gateway.port, channel, **where).follow() for kind in KINDS]
    try:
        yield followers
    finally:
        for follower in followers:
            follower.stop()
    for follower in followers:
        assert follower.place.gaps == []


def sent_by(*publishers: Publisher) -> list[Any]:
    """What was published, in the order of its offsets."""
    sent = {offset: data for publisher in publishers for offset, data in publisher.sent.items()}
    assert sorted(sent) == list(range(1, len(sent) + 1))
    return [sent[offset] for offset in sorted(sent)]


def test_every_worker_delivers_what_any_worker_takes(pair: tuple[Gateway, list[Publisher]], room: str) -> None:
    gateway, publishers = pair
    with followers_everywhere(gateway, room) as followers:
        for number in range(200):
            publishers[number % 2].publish(room, number)
        for follower in followers:
            follower.wait_for(200)
    for follower in followers:
        assert follower.place.data == list(range(200))
        assert follower.returns == 0


def test_bursts_and_batches_of_two_publishers_at_once(pair: tuple[Gateway, list[Publisher]], room: str) -> None:
    gateway, publishers = pair

    def publish(publisher: Publisher, name: str) -> None:
        for number in range(3):
            publisher.batch(room, [f"{name} {number} {place}" for place in range(1000)])
            for place in range(20):
                publisher.publish(room, f"{name} {number} alone {place}")

    with followers_everywhere(gateway, room, since=0) as followers:
        threads = [threading.Thread(target=publish, args=(each, str(i))) for i, each in enumerate(publishers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for follower in followers:
            follower.wait_for(2 * 3 * 1020)
    for follower in followers:
        assert follower.place.data == sent_by(*publishers)


def test_two_channels_on_one_socket(pair: tuple[Gateway, list[Publisher]], room: str) -> None:
    gateway, publishers = pair
    with WebSocket(gateway.port) as socket:
        for name in ("a", "b"):
            socket.join(f"{room}{name}")
        for number in range(100):
            publishers[number % 2].publish(f"{room}a", f"a {number}")
            publishers[number % 2].batch(f"{room}b", [f"b {number} {place}" for place in range(3)])
        for name, count in (("a", 100), ("b", 300)):
            got = [socket.next("event", topic=f"{room}{name}").payload for _ in range(count)]
            assert [event["offset"] for event in got] == list(range(1, count + 1))
            assert all(event["data"].startswith(name) for event in got)
        socket.leave(f"{room}a")
        publishers[0].publish(f"{room}a", "after")
        assert publishers[0].publish(f"{room}b", "last")["offset"] == 301
        assert socket.next("event").payload["data"] == "last"


class Flood(threading.Thread):
    """Publishes without a pause until it is told to stop."""

    def __init__(self, publisher: Publisher, channel: str) -> None:
        super().__init__(daemon=True)
        self.publisher = publisher
        self.channel = channel
        self.stopped = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.stopped.is_set():
            self.publisher.publish(self.channel, number)
            number += 1


@contextlib.contextmanager
def flood(publishers: list[Publisher], channel: str) -> Iterator[None]:
    floods = [Flood(publisher, channel) for publisher in publishers]
    for each in floods:
        each.start()
    try:
        yield
    finally:
        for each in floods:
            each.stopped.set()
            each.join()


@pytest.mark.parametrize("kind", KINDS)
def test_joins_during_a_flood_get_each_event_once(pair: tuple[Gateway, list[Publisher]], room: str, kind: Kind) -> None:
    gateway, publishers = pair
    epoch = publishers[0].publish(room, "first")["epoch"]
    joined: list[tuple[int, Follower]] = []
    with flood(publishers, room):
        for _ in range(40):
            since = max(0, max(max(each.sent, default=0) for each in publishers) - 50)
            joined.append((since, kind(gateway.port, room, since=since, epoch=epoch).follow()))
    newest = max(max(each.sent) for each in publishers)
    sent = sent_by(*publishers)
    for since, follower in joined:
        follower.wait_for(newest)
        follower.stop()
        assert follower.place.gaps == []
        assert follower.place.data == sent[since:]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [100, 4000, 60_000])
def test_subscribers_far_behind_catch_up_while_publishes_go_on(
    pair: tuple[Gateway, list[Publisher]], room: str, kind: Kind, size: int
) -> None:
    """What they catch up with is 64 KiB, more than 1 MiB, and more than the kernel takes for a reader."""
    gateway, publishers = pair
    behind = min(700, 7_200_000 // size)
    for first in range(0, behind, 10):
        publishers[0].batch(room, [f"{number} {'x' * size}" for number in range(first, first + 10)])
    followers = []
    with flood(publishers[1:], room):
        for _ in range(6):
            followers.append(kind(gateway.port, room, since=0).follow())
        for follower in followers:
            follower.wait_for(behind + 1)
    sent = sent_by(*publishers)
    for follower in followers:
        follower.wait_for(len(sent))
        follower.stop()
        assert follower.place.gaps == []
        assert follower.place.data == sent


def test_a_worker_killed_while_it_delivers(start: Callable[..., Gateway], room: str) -> None:
    """Its clients come back with where they were, to whoever serves then, and have missed and doubled nothing."""
    gateway = start(**LONG)
    killed, other = serving_workers(gateway)
    with only(gateway, other):
        publisher = Publisher(gateway.port)
        publisher.publish(room, "first")
    followers = []
    with only(gateway, killed):
        for kind in KINDS:
            followers += [kind(gateway.port, room, since=0).follow() for _ in range(5)]
    with only(gateway, other):
        steady = SocketFollower(gateway.port, room, since=0).follow()
    with flood([publisher], room):
        for follower in followers:
            follower.wait_for(50)
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: all(each.returns > 0 or each.failure for each in followers), "the clients to come back")
        newest = max(publisher.sent)
        for follower in followers:
            follower.wait_for(newest)
    sent = sent_by(publisher)
    for follower in [*followers, steady]:
        follower.wait_for(len(sent))
        follower.stop()
        assert follower.place.gaps == []
        assert follower.place.data == sent
    assert steady.returns == 0
    publisher.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_past_that_is_forgotten_is_told_with_the_new_epoch(
    pair: tuple[Gateway, list[Publisher]], room: str, kind: Kind
) -> None:
    gateway, publishers = pair
    first = publishers[0].publish(room, "before")
    followers = []
    for worker in gateway.workers():
        with only(gateway, worker):
            followers.append(kind(gateway.port, room, since=0).follow())
    for follower in followers:
        follower.wait_for(1)
    publishers[0].forget(room)
    second = publishers[1].publish(room, "after")
    assert second["epoch"] != first["epoch"]
    for follower in followers:
        wait_until(lambda each=follower: each.failure or "after" in each.place.data, "the event after")
        follower.stop()
        assert follower.place.got == {
            (first["epoch"], first["offset"]): "before",
            (second["epoch"], second["offset"]): "after",
        }
        assert follower.place.gaps, "it was told of no gap"
        assert follower.place.gaps[-1]["epoch"] == second["epoch"]


def test_forgetting_again_and_again_during_a_flood(pair: tuple[Gateway, list[Publisher]], room: str) -> None:
    gateway, publishers = pair
    last: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        followers = [kind(gateway.port, room, since=0) for kind in KINDS for _ in range(2)]
        for follower in followers:
            stack.callback(follower.follow().stop)
        until = time.monotonic() + 2
        while time.monotonic() < until:
            for number in range(20):
                last = publishers[number % 2].publish(room, number)
            publishers[0].forget(room)
        for number in range(20):
            last = publishers[number % 2].publish(room, number)
        for follower in followers:
            wait_until(
                lambda place=follower.place: (place.epoch, place.offset) == (last["epoch"], last["offset"]),
                "the last event",
            )
            epochs = {epoch for epoch, _ in follower.place.got}
            assert len(epochs) > 1
            assert [follower.place.got[last["epoch"], offset] for offset in range(1, 21)] == list(range(20))
