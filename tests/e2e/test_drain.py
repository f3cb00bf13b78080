"""SIGTERM: what is under way is finished, streams end at once, and the gateway is gone soon after."""

import json
import signal
import socket
import time

import pytest


def half_a_publish(gateway, body: bytes) -> socket.socket:
    """A connection on which the gateway has read the headers and waits for the body's second half."""
    connection = socket.create_connection(("127.0.0.1", gateway.port), timeout=20)
    head = (
        "POST /apps/demo/channels/room:1/publish HTTP/1.1\r\nHost: gateway\r\nX-API-Key: valid_key_demo\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    )
    connection.sendall(head.encode())
    assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
    connection.sendall(body[: len(body) // 2])
    return connection


def read_to_the_end(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_request_under_way_is_answered_and_kept(start, gateway, wait_until):
    body = json.dumps({"type": "message", "data": "slow"}).encode()
    connection = half_a_publish(gateway, body)
    gateway.process.send_signal(signal.SIGTERM)
    wait_until(lambda: not gateway.is_ready(), "the gateway to take no more connections")
    assert gateway.process.poll() is None
    connection.sendall(body[len(body) // 2 :])
    answer = read_to_the_end(connection)
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    assert gateway.process.wait(20) == 0
    assert start().history("room:1")["events"][0]["data"] == "slow"


def test_streams_end_at_once_and_resume_elsewhere(start, gateway):
    gateway.publish("room:1", "first")
    stream = gateway.subscribe("room:1", "?since=0")
    assert stream.next()[1]["data"] == "first"
    began = time.monotonic()
    gateway.process.send_signal(signal.SIGTERM)
    with pytest.raises(EOFError):
        stream.next()
    assert gateway.process.wait(20) == 0
    assert time.monotonic() - began < 4
    after = start()
    after.publish("room:1", "second")
    assert after.subscribe("room:1", last_event_id=stream.last_id).next()[1]["data"] == "second"


def test_a_reader_that_has_stopped_reading_does_not_hold_up_the_end(start, gateway):
    for _ in range(300):
        gateway.publish("room:1", "x" * 60_000)
    stalled = socket.create_connection(("127.0.0.1", gateway.port), timeout=20)
    stalled.sendall(b"GET /apps/demo/channels/room:1/events?since=0 HTTP/1.1\r\nHost: gateway\r\n\r\n")
    assert stalled.recv(
        10
    )  # and no more: what it does not take fills the connection's buffers, and then the worker waits
    began = time.monotonic()
    gateway.process.send_signal(signal.SIGTERM)
    assert gateway.process.wait(30) == 0
    assert time.monotonic() - began < 10  # the grace would be 30 seconds
    stalled.close()


def test_a_request_that_never_ends_is_cut_off_after_the_grace(start):
    gateway = start("--graceful-timeout", "1")
    connection = half_a_publish(gateway, b'{"type":"message","data":1}')
    gateway.process.send_signal(signal.SIGTERM)
    assert gateway.process.wait(20) == 0
    assert read_to_the_end(connection) == b""
    assert start().history("room:1")["count"] == 0


def test_a_worker_that_is_told_to_stop_while_it_starts_stops(spawn):
    gateway = spawn("--workers", "4")
    while not gateway.workers():
        assert gateway.process.poll() is None, gateway.log.read_text()
    began = time.monotonic()
    assert gateway.stop() == 0
    assert time.monotonic() - began < 10
