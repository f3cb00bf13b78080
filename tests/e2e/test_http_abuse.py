"""Clients that mean harm or have lost their senses: the others are served on, and nothing of it is left behind."""

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.processes import MEBIBYTE, connections, cpu_seconds, descriptors, own_memory, serving_workers, wait_for_rest
from tests.raw_http import Closed, RawConnection
from tests.serving import Gateway, free_port, serve_command, wait_until

EVENT = b'{"type":"message","data":"%s"}' % (b"x" * 1000)
HEAD = (
    b"POST /apps/demo/channels/room:1/publish HTTP/1.1\r\nHost: a\r\nX-API-Key: valid_key_demo\r\n"
    b"Content-Length: %d\r\n\r\n" % len(EVENT)
)
ALIVE = b"GET /alive HTTP/1.1\r\nHost: a\r\n\r\n"
HISTORY = b"GET /apps/demo/channels/room:1/history?limit=1000 HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def native(spawn: Callable[..., Gateway]) -> Iterator[Gateway]:
    """One worker of the native server. At the end it is the same one, idle, with what it had at the beginning."""
    gateway = spawn("--server", "native", "--workers", "1").wait_until_ready()
    (worker,) = serving_workers(gateway, 1)
    publish(gateway)
    with RawConnection(gateway.port) as connection:
        connection.send(HISTORY).answer()
    # What was needed once is kept: let every part of the gateway come to that before it is looked at.
    wait_for_rest(worker)
    files, memory = descriptors(worker), own_memory(worker)
    yield gateway
    publish(gateway)
    wait_until(lambda: descriptors(worker) <= files, f"descriptors to come back to {files}")
    assert own_memory(worker) < memory + 24 * MEBIBYTE
    assert gateway.workers() == [worker], gateway.log.read_text()


@pytest.fixture
def worker(native: Gateway) -> int:
    """The pid of the one that serves."""
    return native.workers()[0]


@pytest.fixture
def crowd(native: Gateway) -> Iterator[Callable[[int], list[RawConnection]]]:
    """Opens many connections; they are closed before the gateway is looked at again."""
    with contextlib.ExitStack() as stack:
        yield lambda size: [stack.enter_context(RawConnection(native.port)) for _ in range(size)]


def publish(gateway: Gateway) -> None:
    """A client as it should be, which does not wait long."""
    with RawConnection(gateway.port, patience=5) as connection:
        assert connection.send(HEAD + EVENT).answer().status == 200


def publish_much(gateway: Gateway, count: int) -> None:
    with RawConnection(gateway.port) as connection:
        for _ in range(count):
            assert connection.send(HEAD + EVENT).answer().status == 200


HALVES = [b"", b"P", HEAD[:20], HEAD[:-2], HEAD, HEAD + EVENT[:-1]]


@pytest.mark.parametrize("half", HALVES)
def test_half_sent_requests_hold_up_nobody(
    native: Gateway, crowd: Callable[[int], list[RawConnection]], half: bytes
) -> None:
    for connection in crowd(400):
        connection.send(half)
    for _ in range(20):
        publish(native)


@pytest.mark.slow
def test_slow_headers_are_given_up(native: Gateway, crowd: Callable[[int], list[RawConnection]]) -> None:
    """Slowloris: each sends a little now and then, so that none is ever idle."""
    begun = HEAD[: HEAD.index(b"\r\n") + 2]
    connections = [connection.send(begun) for connection in crowd(400)]
    began = time.monotonic()
    while time.monotonic() - began < 9:
        for connection in connections:
            connection.send(b"X-A: b\r\n")
        publish(native)
        time.sleep(0.1)  # a little: many fields would be too many
    for connection in connections:
        with contextlib.suppress(Closed):  # what it sent too late may cost it the answer
            assert connection.answer().status == 408
        assert connection.is_closed()
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("half", HALVES)
def test_clients_that_reset_their_connection(native: Gateway, half: bytes) -> None:
    for _ in range(300):
        RawConnection(native.port).send(half).reset()
    publish(native)


@pytest.mark.parametrize("half", HALVES)
def test_clients_that_close_their_side_in_the_middle(native: Gateway, half: bytes) -> None:
    for _ in range(50):
        with RawConnection(native.port) as connection:
            connection.send(half).socket.shutdown(socket.SHUT_WR)
            connection.rest()
    publish(native)


def test_answers_that_nobody_waits_for(native: Gateway) -> None:
    publish_much(native, 500)
    for number in range(300):
        connection = RawConnection(native.port).send(HISTORY * 3)
        if number % 2:
            connection.socket.recv(1000)
        connection.reset()
    publish(native)


def test_requests_of_the_application_that_nobody_waits_for(native: Gateway) -> None:
    for _ in range(300):
        RawConnection(native.port).send(b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 3).reset()
    with RawConnection(native.port) as connection:
        assert connection.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").answer().status == 200


def ask_without_reading(gateway: Gateway, times: int) -> RawConnection:
    """Ask by pipelining until the server takes no more, at most so many times."""
    connection = RawConnection(gateway.port)
    connection.socket.setblocking(False)
    requests = memoryview(HISTORY * times)
    deadline = time.monotonic() + 2
    while requests and time.monotonic() < deadline:
        try:
            requests = requests[connection.socket.send(requests) :]
            deadline = time.monotonic() + 2
        except BlockingIOError:
            time.sleep(0.01)
    connection.socket.settimeout(20)
    return connection


def test_readers_that_never_read_cost_little(native: Gateway, worker: int) -> None:
    publish_much(native, 1000)
    before = own_memory(worker)
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(ask_without_reading(native, 5000))  # 5 GiB of answers each
        for _ in range(20):
            publish(native)
        assert own_memory(worker) < before + 8 * 8 * MEBIBYTE


def test_a_reader_that_reads_late_gets_every_answer(native: Gateway) -> None:
    publish_much(native, 1000)
    with ask_without_reading(native, 50) as connection:
        lengths = {len(connection.answer().body) for _ in range(50)}
        assert len(lengths) == 1
        assert lengths.pop() > MEBIBYTE


@pytest.mark.slow
def test_a_reader_that_never_reads_is_cut_off(native: Gateway, worker: int) -> None:
    publish_much(native, 1000)
    wait_for_rest(worker)
    with ask_without_reading(native, 5000):
        wait_until(lambda: connections(worker) == 1, "the worker to take it")
        deadline = time.monotonic() + 45
        while connections(worker):
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.mark.parametrize("line", [b"a: b\r\n", b"a: %s\r\n" % (b"b" * 100), b"a"])
def test_headers_without_end(native: Gateway, line: bytes) -> None:
    with RawConnection(native.port) as connection:
        connection.send(b"GET /alive HTTP/1.1\r\nHost: a\r\n" + line * 1_000_000)
        assert connection.status_or_end() in (431, None)
    publish(native)


def test_bodies_without_end(native: Gateway) -> None:
    head = HEAD.partition(b"Content-Length")[0]
    for ending in (b"Content-Length: 1000000000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n"):
        with RawConnection(native.port) as connection:
            connection.send(head + ending + b" " * 20_000_000)
            assert connection.status_or_end() in (413, None)
    publish(native)


def test_chunks_of_one_byte_with_long_extensions(native: Gateway) -> None:
    chunk = b"1;" + b"e" * 4000 + b"\r\n \r\n"
    with RawConnection(native.port) as connection:
        connection.send(HEAD.partition(b"Content-Length")[0] + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 5000)
        with contextlib.suppress(Closed, TimeoutError):
            connection.socket.settimeout(2)
            assert connection.answer().status in (400, 413)
    publish(native)


def test_a_flood_of_connections(native: Gateway, crowd: Callable[[int], list[RawConnection]]) -> None:
    connections = crowd(700)
    for _ in range(3000):
        socket.create_connection(("127.0.0.1", native.port), timeout=20).close()
    for connection in connections:
        assert connection.send(ALIVE).answer().status == 200
    publish(native)


def test_when_descriptors_run_out_those_that_are_connected_are_served_on(
    tmp_path: Path,
) -> None:
    port = free_port()
    command = ("prlimit", "--nofile=80:80", *serve_command(port))
    gateway = Gateway(tmp_path, port, ("--server", "native", "--workers", "1"), {}, command).wait_until_ready()
    (worker,) = serving_workers(gateway, 1)
    try:
        with contextlib.ExitStack() as stack:
            early = stack.enter_context(RawConnection(port))
            assert early.send(ALIVE).answer().status == 200
            with contextlib.ExitStack() as others:
                for _ in range(120):
                    others.enter_context(RawConnection(port)).send(ALIVE)
                wait_until(lambda: descriptors(worker) >= 78, "the descriptors to run out")
                before, began = cpu_seconds(worker), time.monotonic()
                while time.monotonic() - began < 1:
                    assert early.send(HEAD + EVENT).answer().status == 200
                    time.sleep(0.02)
                assert cpu_seconds(worker) - before < 0.6, "it should wait for a descriptor, not turn in circles"
            publish(gateway)
            assert early.send(ALIVE).answer().status == 200
        answer = gateway.request("GET", "/apps/demo/channels/room:1")
        assert json.loads(answer.body)["last_offset"] > 1
    finally:
        gateway.kill_everything()
