"""SIGTERM under load, one instance: whoever got a connection is answered, and what was acknowledged is kept."""

import contextlib
import json
import os
import shutil
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.followers import SocketFollower, StreamFollower
from tests.raw_http import Answer, Closed, RawConnection
from tests.serving import Gateway, free_port, serve_command, wait_until
from tests.websocket import Ended, WebSocket

CLIENTS = 4
GRACE = 10


class Client(threading.Thread, ABC):
    """Publishes numbered events until the gateway is gone; `acks` has what it was told of each, in order."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        super().__init__(daemon=True)
        self.gateway = gateway
        self.name = name
        self.acks: list[tuple[Any, dict[str, Any]]] = []
        self.failure: str = ""

    def run(self) -> None:
        try:
            while self.publish([self.name, len(self.acks)]):
                pass
        except Exception as error:
            self.failure = f"{self.name} at {time.monotonic():.2f}: {error!r}"

    @abstractmethod
    def publish(self, data: Any) -> bool:
        """Publish; False when the gateway is gone."""


class HttpClient(Client):
    """Over one connection until it is told that it closes, then over another; each is good for an answer."""

    connection: RawConnection | None = None

    def publish(self, data: Any) -> bool:
        if self.connection is None:
            try:
                self.connection = RawConnection(self.gateway.port, GRACE)
            except ConnectionRefusedError:
                return False
        answer = self.ask(self.connection, json.dumps({"type": "message", "data": data}).encode())
        assert answer.status == 200, answer
        self.acks.append((data, answer.json()))
        if answer.field("connection") == "close":
            self.connection.close()
            self.connection = None
        return True

    def ask(self, connection: RawConnection, body: bytes) -> Answer:
        head = (
            "POST /apps/demo/channels/room/publish HTTP/1.1\r\nHost: a\r\nX-API-Key: valid_key_demo\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return connection.send(head.encode() + body).answer()


class HastyClient(HttpClient):
    """Over a new connection each time."""

    def publish(self, data: Any) -> bool:
        goes_on = super().publish(data)
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        return goes_on


class SocketClient(Client):
    """Over WebSocket, until it is sent away."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        super().__init__(gateway, name)
        self.socket = WebSocket(gateway.port)
        self.socket.join("room")
        self.code = 0

    def publish(self, data: Any) -> bool:
        try:
            self.acks.append((data, self.socket.publish("room", data)))
        except Ended as ended:
            self.code = ended.code
            return False
        return True


@pytest.mark.parametrize("server", ["native", "wsgi"])
def test_no_publish_fails(start: Callable[..., Gateway], server: str) -> None:
    options = {"SERVER": server, "HISTORY_SIZE": "65535", "MAX_CHANNELS": "10"}
    gateway = start("--graceful-timeout", str(GRACE), **options)
    kinds = [HttpClient, HastyClient] + ([SocketClient] if server == "native" else [])
    clients = [kind(gateway, f"{kind.__name__}-{number}") for kind in kinds for number in range(CLIENTS)]
    follow = SocketFollower if server == "native" else StreamFollower
    follower = follow(gateway.port, "room", since=0).follow()
    for client in clients:
        client.start()
    wait_until(lambda: all(len(client.acks) > 20 for client in clients), "all to publish")

    began = time.monotonic()
    gateway.process.send_signal(signal.SIGTERM)
    for client in clients:
        client.join(2 * GRACE)
    assert gateway.process.wait(2 * GRACE) == 0
    assert time.monotonic() - began < GRACE
    assert [client.failure for client in clients if client.failure] == []
    assert {client.code for client in clients if isinstance(client, SocketClient)} <= {1012}

    again = start(port=gateway.port, **options)
    acks = {ack["offset"]: data for client in clients for data, ack in client.acks}
    assert len(acks) == sum(len(client.acks) for client in clients)
    last = again.publish("room", "last")
    follower.wait_for(last["offset"])
    follower.stop()
    assert not follower.place.gaps
    got = follower.place.data
    assert [got[offset - 1] for offset in sorted(acks)] == [acks[offset] for offset in sorted(acks)]
    # A socket may have been sent away between its event and the acknowledgement.
    assert len(got) - 1 - len(acks) <= CLIENTS


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="a PID namespace takes root")
def test_no_publish_fails_when_the_master_is_process_1_of_a_container(tmp_path: Path) -> None:
    port = free_port()
    command = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *serve_command(port))
    gateway = Gateway(tmp_path, port, ("--workers", "2", "--graceful-timeout", str(GRACE)), {}, command)
    try:
        gateway.wait_until_ready()
        assert "the master is pid 1\n" in gateway.log.read_text()
        clients = [HttpClient(gateway, f"client-{number}") for number in range(CLIENTS)]
        for client in clients:
            client.start()
        wait_until(lambda: all(len(client.acks) > 20 for client in clients), "all to publish")
        (master,) = gateway.workers()
        os.kill(master, signal.SIGTERM)
        for client in clients:
            client.join(2 * GRACE)
        assert gateway.process.wait(2 * GRACE) == 0
        assert [client.failure for client in clients if client.failure] == []
    finally:
        gateway.kill_everything()


def test_new_clients_are_refused_at_once_while_others_finish(start: Callable[..., Gateway]) -> None:
    """A connection that nobody will take is worse than none: its client could have gone elsewhere."""
    gateway = start("--graceful-timeout", str(GRACE))
    idle = RawConnection(gateway.port)
    idle.send(b"GET /alive HTTP/1.1\r\nHost: a\r\n\r\n").answer()
    gateway.process.send_signal(signal.SIGTERM)

    def is_refused() -> bool:
        try:
            with RawConnection(gateway.port, patience=2) as connection, contextlib.suppress(ConnectionResetError):
                connection.send(b"GET /alive HTTP/1.1\r\nHost: a\r\n\r\n").answer()
        except ConnectionRefusedError:
            return True
        except Closed:
            pass
        return False

    wait_until(is_refused, "connections to be refused")
    assert gateway.process.poll() is None
    answer = idle.send(b"GET /alive HTTP/1.1\r\nHost: a\r\n\r\n").answer()
    assert (answer.status, answer.field("connection")) == (200, "close")
    idle.close()
    assert gateway.process.wait(2 * GRACE) == 0
