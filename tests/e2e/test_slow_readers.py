"""Readers that do not read: they cost little and hold up nobody, and are cut off, or get later what they missed."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from tests.followers import KINDS, Follower, Publisher, SocketFollower, StreamFollower
from tests.processes import MEBIBYTE, connections, descriptors, own_memory, serving_workers
from tests.serving import Gateway, free_port, wait_until
from tests.websocket import Ended, Opcode, WebSocket, frame

RULES = """
[[apps.demo.rules]]
channels = "latest:*"
public_read = true
conflate = true
[[apps.demo.rules]]
channels = "*"
public_read = true
"""
LARGE = "x" * 60_000
MANY = 240
"""Events of this size are 14 MB: more than the kernel takes for a reader, and what may be held for one here."""

Kind = Callable[..., Follower]


@pytest.fixture(scope="module")
def lone_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One worker, so that its memory and its descriptors can be looked at."""
    folder = tmp_path_factory.mktemp("slow")
    (folder / "polyglot.toml").write_text(RULES)
    gateway = Gateway(folder, free_port(), ("--workers", "1"), {"HISTORY_BYTES": str(64 << 20)})
    yield gateway.wait_until_ready()
    gateway.kill_everything()


@pytest.fixture
def worker(lone_gateway: Gateway) -> Iterator[int]:
    """Its pid; it is the same worker at the end."""
    (pid,) = serving_workers(lone_gateway, 1)
    yield pid
    assert lone_gateway.workers() == [pid], lone_gateway.log.read_text()


@pytest.fixture
def publisher(lone_gateway: Gateway) -> Iterator[Publisher]:
    with Publisher(lone_gateway.port) as publisher:
        yield publisher


def slow_readers(gateway: Gateway) -> int:
    """How many were cut off until now."""
    for line in gateway.request("GET", "/metrics").body.decode().splitlines():
        if line.startswith("polyglot_slow_readers_total "):
            return int(float(line.split()[1]))
    raise AssertionError("the metric is missing")


def publish_much(publisher: Publisher, channel: str) -> None:
    for number in range(MANY):
        publisher.publish(channel, f"{number} {LARGE}")


def numbers(follower: Follower) -> list[int]:
    return [int(data.partition(" ")[0]) for data in follower.place.data]


def asleep(kind: Kind, gateway: Gateway, channel: str) -> Follower:
    """A subscriber that does not read until `read_to` is called."""
    follower = kind(gateway.port, channel, since=0)
    follower._connect()
    # Else the kernel would take most of what is published here.
    follower.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    return follower


def read_to(follower: Follower, offset: int) -> None:
    while follower.place.offset < offset:
        follower._read()
    assert follower.place.offset == offset
    follower.connection.close()


def test_sockets_that_never_read_are_cut_off_and_hold_up_nobody(
    lone_gateway: Gateway, worker: int, publisher: Publisher, room: str
) -> None:
    awake = [kind(lone_gateway.port, room, since=0).follow() for kind in KINDS for _ in range(2)]
    files, memory = descriptors(worker), own_memory(worker)
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(WebSocket(lone_gateway.port, receive_buffer=4096)).join(room)
        assert descriptors(worker) >= files + 40
        publish_much(publisher, room)
        for follower in awake:
            follower.wait_for(MANY)
        assert own_memory(worker) < memory + 32 * MEBIBYTE
        wait_until(lambda: descriptors(worker) <= files, "the slow ones to be cut off")
    for follower in awake:
        follower.stop()
        assert numbers(follower) == list(range(MANY))
        assert follower.place.gaps == []


def test_a_socket_that_reads_too_slowly_is_told_so_and_resumes(
    lone_gateway: Gateway, worker: int, publisher: Publisher, room: str
) -> None:
    before = slow_readers(lone_gateway)
    slow = asleep(SocketFollower, lone_gateway, room)
    published = 0
    while slow_readers(lone_gateway) == before:
        publisher.publish(room, f"{published} {LARGE}")
        published += 1
        assert published < MANY, "it is not cut off"
    # What it had not taken then, but for what was on the way, it is not sent any more.
    with contextlib.closing(slow.connection):
        code = read_until_close(slow)
    assert code == 4008
    assert slow.place.offset < published
    slow._connect()
    read_to(slow, published)
    assert numbers(slow) == list(range(published))
    assert slow.place.gaps == []


def read_until_close(follower: Follower) -> int:
    while True:
        try:
            follower._read()
        except Ended as ended:
            return ended.code


def test_streams_that_read_late_get_every_event(
    lone_gateway: Gateway, worker: int, publisher: Publisher, room: str
) -> None:
    memory = own_memory(worker)
    late = [asleep(StreamFollower, lone_gateway, room) for _ in range(10)]
    publish_much(publisher, room)
    assert own_memory(worker) < memory + 16 * MEBIBYTE
    for follower in late:
        read_to(follower, MANY)
        assert numbers(follower) == list(range(MANY))
        assert follower.place.gaps == []


def test_streams_that_read_too_late_are_told_what_is_missing(spawn: Callable[..., Gateway]) -> None:
    gateway = spawn("--workers", "1", HISTORY_SIZE="20").wait_until_ready()
    late = [asleep(StreamFollower, gateway, "room:1") for _ in range(10)]
    with Publisher(gateway.port) as publisher:
        publish_much(publisher, "room:1")
    for follower in late:
        read_to(follower, MANY)
        missing = [number for gap in follower.place.gaps for number in range(gap["from"] - 1, gap["to"])]
        assert missing, f"{MANY} large events cannot have been under way"
        assert {gap["reason"] for gap in follower.place.gaps} == {"overwritten"}
        assert sorted(missing + numbers(follower)) == list(range(MANY))


@pytest.mark.parametrize("kind", KINDS)
def test_a_channel_that_conflates_gives_slow_readers_the_newest(
    lone_gateway: Gateway, worker: int, publisher: Publisher, room: str, kind: Kind
) -> None:
    channel = f"latest:{room}"
    memory = own_memory(worker)
    awake = kind(lone_gateway.port, channel, since=0).follow()
    late = [asleep(kind, lone_gateway, channel) for _ in range(10)]
    publish_much(publisher, channel)
    awake.wait_for(MANY)
    awake.stop()
    assert own_memory(worker) < memory + 24 * MEBIBYTE
    for follower in late:
        read_to(follower, MANY)
        assert numbers(follower)[-1] == MANY - 1
        assert follower.place.gaps
        assert {gap["reason"] for gap in follower.place.gaps} == {"conflated"}


@pytest.mark.slow
def test_who_takes_nothing_is_cut_off_though_nothing_is_published(
    lone_gateway: Gateway, worker: int, publisher: Publisher, room: str
) -> None:
    publish_much(publisher, room)
    wait_until(lambda: connections(worker) == 1, "the publisher to be the only one")
    with contextlib.ExitStack() as stack:
        stream = asleep(StreamFollower, lone_gateway, room)
        stack.callback(stream.connection.close)
        pings = stack.enter_context(WebSocket(lone_gateway.port, receive_buffer=4096))
        pings.socket.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            pings.socket.sendall(frame(Opcode.PING, b"x" * 125) * 500_000)
        wait_until(lambda: connections(worker) == 3, "the worker to take both")
        deadline = time.monotonic() + 45
        while connections(worker) > 1:
            assert time.monotonic() < deadline
            time.sleep(0.1)
