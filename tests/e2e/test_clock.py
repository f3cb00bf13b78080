"""The clock is set forwards and back under a running gateway: nothing hangs, is lost, or lasts for ever."""

import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
from tests.clock import Clock
from tests.production import ProductionGateway, token
from tests.raw_http import RawConnection
from tests.serving import Gateway
from tests.websocket import WebSocket

HOUR = 3600
SECRET = "a-secret-that-only-this-test-has-0123456789"
RULES = '[apps."*"]\nrules = [{ channels = "short:*", history_ttl = 3600 }]\n'
JUMPS = (0, 3 * HOUR, 3 * HOUR - 1, 3 * HOUR - 2, 0, -1, -2, -3 * HOUR, -3 * HOUR + 1, 24 * HOUR, 0)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


@pytest.fixture(params=["native", "wsgi"])
def gateway(request: pytest.FixtureRequest, spawn: Callable[..., Gateway], tmp_path: Path, clock: Clock) -> Gateway:
    (tmp_path / "polyglot.toml").write_text(RULES)
    environment = {**clock.environment, "SERVER": request.param, "JWT_SECRET": SECRET}
    return spawn("--workers", "1", **environment).wait_until_ready()


def publish_with_key(gateway: Gateway, key: str) -> tuple[dict[str, Any], bool]:
    """The acknowledgement, and whether it is of an earlier event."""
    body = json.dumps({"type": "message", "data": 1}).encode()
    answer = gateway.request("POST", "/apps/demo/channels/room/publish", body, {"Idempotency-Key": key})
    assert answer.status == 200, answer.body
    return json.loads(answer.body), answer.getheader("Idempotency-Replayed") == "true"


def seconds_of(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


def test_events_stay_in_order_and_say_the_time_of_the_clock(gateway: Gateway, clock: Clock) -> None:
    workers = gateway.workers()
    stream = gateway.subscribe("room", "?since=0")
    acks = []
    for ahead in JUMPS:
        clock.set(ahead)
        for _ in range(3):
            began = time.monotonic()
            ack = gateway.publish("room", ahead)
            assert time.monotonic() - began < 5
            assert abs(seconds_of(ack["timestamp"]) - time.time() - ahead) < 5
            acks.append(ack)
            assert stream.next()[1]["id"] == ack["id"]
    ids = [ack["id"] for ack in acks]
    assert ids == sorted(set(ids))
    assert [ack["offset"] for ack in acks] == list(range(1, len(acks) + 1))
    page = gateway.history("room", "since=0")
    assert ([event["id"] for event in page["events"]], page["gap"]) == (ids, None)
    health = json.loads(gateway.request("GET", "/health").body)
    assert 0 <= health["uptime_seconds"] < 300
    stream.close()
    assert gateway.workers() == workers
    clock.set(3 * HOUR)
    began = time.monotonic()
    assert gateway.stop() == 0
    assert time.monotonic() - began < 10


def test_what_expired_too_early_is_said_and_is_there_again(gateway: Gateway, clock: Clock) -> None:
    first = gateway.publish("short:1", "first")
    clock.set(2 * HOUR)
    page = gateway.history("short:1", f"since=0&epoch={first['epoch']}")
    assert (page["count"], page["gap"]["from"], page["gap"]["to"]) == (0, 1, 1)
    assert page["gap"]["reason"] == "expired"
    gateway.publish("short:1", "second")
    clock.set(0)
    gateway.publish("short:1", "third")
    page = gateway.history("short:1", f"since=0&epoch={first['epoch']}")
    assert ([event["data"] for event in page["events"]], page["gap"]) == (["first", "second", "third"], None)
    clock.set(4 * HOUR)
    page = gateway.history("short:1", f"since=0&epoch={first['epoch']}")
    assert (page["count"], page["gap"]["to"], page["gap"]["reason"]) == (0, 3, "expired")


def test_keys_are_known_for_a_window_and_outlast_a_clock_set_back(gateway: Gateway, clock: Clock) -> None:
    first, _ = publish_with_key(gateway, "k")
    for ahead in (1, 0, -1, -3 * HOUR):
        clock.set(ahead)
        assert publish_with_key(gateway, "k") == (first, True)
    clock.set(3 * HOUR)
    second, replayed = publish_with_key(gateway, "k")
    assert (second["offset"], replayed) == (2, False)
    clock.set(0)
    assert publish_with_key(gateway, "k") == (second, True)


def test_a_token_ends_by_the_clock(gateway: Gateway, clock: Clock) -> None:
    claims = {"sub": "u", "app": "demo", "exp": int(time.time()) + HOUR, "can": {"room": ["publish", "subscribe"]}}
    token = jwt.encode(claims, SECRET, "HS256")

    def status() -> int:
        head = (
            f"POST /apps/demo/channels/room/publish HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\nContent-Length: 27\r\n\r\n"
        )
        with RawConnection(gateway.port) as connection:
            return connection.send(head.encode() + b'{"type":"message","data":1}').answer().status

    assert status() == 200
    clock.set(2 * HOUR)
    assert status() == 401
    clock.set(0)
    assert status() == 200


@pytest.mark.parametrize("gateway", ["native"], indirect=True)
def test_sockets_and_members_stay_through_jumps(gateway: Gateway, clock: Clock) -> None:
    with WebSocket(gateway.port) as socket:
        socket.join("room", presence={"key": "ann"})
        for ahead in (3 * HOUR, 0, -3 * HOUR, 3 * HOUR):
            clock.set(ahead)
            gateway.publish("room", ahead)
            assert socket.next("event").payload["data"] == ahead
            members = gateway.request("GET", "/apps/demo/channels/room/presence").body
            assert b'"ann"' in members


def test_a_socket_leaves_when_the_clock_passes_the_end_of_its_token(tmp_path: Path, clock: Clock) -> None:
    gateway = ProductionGateway(tmp_path, "--workers", "1", **clock.environment)
    try:
        gateway.wait_until_ready()
        with WebSocket(gateway.port, token=token({"room": ["subscribe"]}, sub="ann", seconds=HOUR)) as socket:
            socket.join("room")
            clock.set(-3 * HOUR)
            assert socket.has_nothing_more()
            clock.set(3 * HOUR)
            assert socket.next("phx_error").payload["code"] == "token_expired"
    finally:
        gateway.kill_everything()
