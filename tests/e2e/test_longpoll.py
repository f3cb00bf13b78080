"""Long polling: Phoenix sessions made of requests, which any worker may get."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.e2e.phoenix_client import PhoenixClient, install
from tests.processes import only, serving_workers, worker_of
from tests.production import ProductionGateway, token
from tests.raw_http import Answer, RawConnection
from tests.serving import Gateway, wait_until
from tests.websocket import Message

IDLE_TIME = 30.0  # kPollIdleTime


class LongPoll:
    """A session; each request has a connection of its own, and so comes to any worker, unless one is given."""

    def __init__(self, port: int, app: str = "demo", headers: Mapping[str, str] | None = None, **query: str) -> None:
        self._port = port
        self._fields = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "gateway", **(headers or {})}.items())
        self._query = urlencode({"vsn": "2.0.0", "app_id": app, "token": f"valid_key_{app}", **query})
        self.token: str | None = None

    def open(self, connection: RawConnection | None = None) -> "LongPoll":
        opened = self.ask("GET", connection=connection)
        assert (opened["status"], opened["messages"]) == (410, [])
        self.token = opened["token"]
        assert self.token
        return self

    @property
    def worker(self) -> str:
        """What the token calls the worker."""
        assert self.token
        return self.token.split("-")[1]

    def request(self, method: str, body: bytes = b"") -> bytes:
        # As the phoenix client does it: behind the parameters of the user, which may have a token too.
        session = f"&token={self.token}" if self.token else ""
        head = f"{method} /socket/longpoll?{self._query}{session} HTTP/1.1\r\n{self._fields}"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def answer(self, method: str, body: bytes = b"", connection: RawConnection | None = None) -> Answer:
        if connection is not None:
            return connection.send(self.request(method, body)).answer()
        with RawConnection(self._port) as own:
            return own.send(self.request(method, body)).answer()

    def ask(self, method: str, body: bytes = b"", connection: RawConnection | None = None) -> dict[str, Any]:
        answer = self.answer(method, body, connection)
        assert (answer.status, answer.field("content-type")) == (200, "application/json"), answer
        said = answer.json()
        assert set(said) == {"status", "token", "messages"}
        return said

    def push(self, *messages: list[Any]) -> None:
        said = self.ask("POST", "\n".join(map(json.dumps, messages)).encode())
        assert said == {"status": 200, "token": self.token, "messages": []}

    def join(self, channel: str, **parameters: Any) -> Any:
        """Join, and take all that comes up to the reply and the presence; returns the reply's response."""
        self.push(["1", "1", channel, "phx_join", parameters])
        reply, *_ = self.messages(lambda messages: messages[-1].event == "presence_state")
        assert (reply.event, reply.payload["status"]) == ("phx_reply", "ok"), reply
        return reply.payload["response"]

    def poll(self, connection: RawConnection | None = None) -> list[Message]:
        said = self.ask("GET", connection=connection)
        assert (said["status"], said["token"]) == (200, self.token), said
        return [Message(*json.loads(text)) for text in said["messages"]]

    def messages(self, enough: Callable[[list[Message]], bool]) -> list[Message]:
        """Poll until it is enough; returns everything."""
        found: list[Message] = []
        while not found or not enough(found):
            found += self.poll()
        return found


def connection_to(gateway: Gateway, worker: int) -> RawConnection:
    """A connection that this worker has accepted."""
    with only(gateway, worker):
        connection = RawConnection(gateway.port)
        assert connection.send(b"GET /alive HTTP/1.1\r\nHost: a\r\n\r\n").answer().status == 200
    return connection


def events(messages: list[Message]) -> list[Any]:
    return [message.payload["data"] for message in messages if message.event == "event"]


def test_requests_by_way_of_any_worker_get_every_event_in_order(gateway: Gateway, room: str) -> None:
    for number, worker in enumerate(serving_workers(gateway)):
        channel = f"{room}:{number}"
        session = LongPoll(gateway.port).open(connection_to(gateway, worker))
        session.join(channel)
        publisher = threading.Thread(target=lambda channel=channel: [gateway.publish(channel, i) for i in range(200)])
        publisher.start()
        got = session.messages(lambda messages: len(events(messages)) >= 200)
        publisher.join()
        assert events(got) == list(range(200))


def test_a_worker_passes_a_request_on_with_what_follows_it(gateway: Gateway, room: str) -> None:
    ours, theirs = serving_workers(gateway)
    session = LongPoll(gateway.port).open(connection_to(gateway, ours))
    assert session.worker != LongPoll(gateway.port).open(connection_to(gateway, theirs)).worker
    with connection_to(gateway, theirs) as connection:
        join = json.dumps(["1", "1", room, "phx_join", {}]).encode()
        poll = session.request("GET")
        alive = b"GET /alive HTTP/1.1\r\nHost: a\r\n\r\n"
        connection.send(alive + session.request("POST", join) + poll + alive)
        assert connection.answer().status == 200
        assert connection.answer().json() == {"status": 200, "token": session.token, "messages": []}
        messages = connection.answer().json()["messages"]
        assert [json.loads(text)[3] for text in messages] == ["phx_reply", "presence_state"]
        assert connection.answer().status == 200
        gateway.publish(room, "later")
        assert events(session.poll(connection)) == ["later"]


def test_a_session_of_a_dead_worker_is_gone(gateway: Gateway) -> None:
    dies, lives = serving_workers(gateway)
    session = LongPoll(gateway.port).open(connection_to(gateway, dies))
    with connection_to(gateway, lives) as connection:
        os.kill(dies, signal.SIGKILL)
        # Of all its threads: until then its socket may take a connection to the grave, and the client has to try again.
        wait_until(lambda: not Path(f"/proc/{dies}").exists(), "the worker's end")
        heartbeat = json.dumps([None, "1", "phoenix", "heartbeat", {}]).encode()
        assert session.ask("POST", heartbeat, connection) == {"status": 410, "token": None, "messages": []}
        assert session.ask("GET", connection=connection)["status"] == 410


def test_the_phoenix_client_resumes_on_another_worker(gateway: Gateway, room: str) -> None:
    workers = serving_workers(gateway)
    client = PhoenixClient(install())
    try:
        client.connect(gateway.port, long_poll=True).do("join", topic=room, resumes=True).joined()
        gateway.publish(room, 0)
        assert client.data(1) == [0]
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda pid=pid: not Path(f"/proc/{pid}").exists(), "the worker's end")
        wait_until(gateway.is_ready, "a new worker")
        for number in range(1, 11):
            gateway.publish(room, number)
        assert client.data(10) == list(range(1, 11))
    finally:
        client.close()


def test_a_token_that_was_never_given_opens_a_session(shared_gateway: Gateway, room: str) -> None:
    session = LongPoll(shared_gateway.port)
    session.token = "longpoll-0-" + 32 * "0"
    assert session.ask("POST")["status"] == 410
    session.open().join(room)


@pytest.mark.parametrize(
    ("headers", "query", "code"),
    [
        ({}, {"token": "wrong"}, "unauthorized"),
        ({"X-API-Key": "wrong"}, {}, "unauthorized"),
        ({"X-Phoenix-AuthToken": "a.b.c"}, {}, "unauthorized"),
        ({}, {"vsn": "1.0.0"}, "invalid_parameter"),
        ({}, {"app_id": "not an app"}, "invalid_app"),
    ],
)
def test_a_refusal_is_one_that_the_client_understands(
    production_gateway: ProductionGateway, headers: dict[str, str], query: dict[str, str], code: str
) -> None:
    answer = LongPoll(production_gateway.port, headers=headers, **query).answer("GET")
    assert answer.status == 403
    said = answer.json()
    assert said.pop("error")
    assert said == {"status": 403, "token": None, "messages": [], "code": code}


def test_the_first_of_two_polls_is_answered(shared_gateway: Gateway, room: str) -> None:
    session = LongPoll(shared_gateway.port).open()
    session.join(room)
    with RawConnection(shared_gateway.port) as first, RawConnection(shared_gateway.port) as second:
        first.send(session.request("GET"))
        assert first.is_silent(0.2)
        second.send(session.request("GET"))
        assert first.answer().json() == {"status": 204, "token": session.token, "messages": []}
        shared_gateway.publish(room, "news")
        assert len(second.answer().json()["messages"]) in (1, 2)  # the channel's first epoch may be told on its own


def test_messages_of_a_poll_that_was_hung_up_come_with_the_next(shared_gateway: Gateway, room: str) -> None:
    session = LongPoll(shared_gateway.port).open()
    session.join(room)
    with RawConnection(shared_gateway.port) as connection:
        connection.send(session.request("GET"))
        assert connection.is_silent(0.2)
        assert worker_of(shared_gateway, connection)
        connection.socket.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: worker_of(shared_gateway, connection) is None, "the worker to notice")
    for number in range(3):
        shared_gateway.publish(room, number)
    assert events(session.messages(lambda messages: 2 in events(messages))) == [0, 1, 2]


def test_a_post_of_a_thousand_lines(shared_gateway: Gateway, room: str) -> None:
    session = LongPoll(shared_gateway.port).open()
    session.join(room)
    pushes = [["1", str(i), room, "publish", {"type": "message", "data": i}] for i in range(1000)]
    session.push(*pushes)
    got = session.messages(lambda messages: len(events(messages)) >= 1000)
    assert events(got) == list(range(1000))
    replies = [(message.ref, message.payload["response"]["offset"]) for message in got if message.event == "phx_reply"]
    assert replies == [(str(i), i + 1) for i in range(1000)]


def test_a_line_that_is_no_message_is_refused(shared_gateway: Gateway, room: str) -> None:
    session = LongPoll(shared_gateway.port).open()
    session.join(room)
    said = session.ask("POST", b'["1","2","%s","publish",{"type":"a","data":1}]\n[]' % room.encode())
    assert (said["status"], said["token"]) == (400, session.token)
    # What came before it was taken.
    assert events(session.messages(lambda messages: bool(events(messages)))) == [1]


def test_a_token_in_x_phoenix_authtoken(production_gateway: ProductionGateway, room: str) -> None:
    channel = f"chat:{room}"
    can = token({"chat:*": ["subscribe", "publish", "presence"]}, sub="alice")
    session = LongPoll(production_gateway.port, headers={"X-Phoenix-AuthToken": can}).open()
    session.join(channel)
    session.push(["1", "2", channel, "publish", {"type": "message", "data": "mine"}])
    (event,) = (
        message.payload
        for message in session.messages(lambda messages: bool(events(messages)))
        if message.event == "event"
    )
    assert (event["data"], event["meta"]["user_id"]) == ("mine", "alice")
    session.push(["2", "3", f"open:{room}", "phx_join", {}], ["3", "4", f"small:{room}", "phx_join", {}])
    replies = session.messages(lambda messages: sum(message.ref in ("3", "4") for message in messages) == 2)
    statuses = {message.ref: message.payload["status"] for message in replies if message.event == "phx_reply"}
    assert (statuses["3"], statuses["4"]) == ("ok", "error")


def test_a_drain_answers_who_waits(gateway: Gateway, room: str) -> None:
    serving_workers(gateway)
    sessions = [LongPoll(gateway.port).open() for _ in range(4)]
    connections = [RawConnection(gateway.port) for _ in sessions]
    for session, connection in zip(sessions, connections, strict=True):
        session.join(room)
        connection.send(session.request("GET"))
        assert connection.is_silent(0.2)
    gateway.process.send_signal(signal.SIGTERM)
    for connection in connections:
        answer = connection.answer()
        assert answer.json() == {"status": 410, "token": None, "messages": []}
        assert answer.field("connection") == "close"
        connection.close()
    assert gateway.process.wait(20) == 0


@pytest.mark.slow
def test_a_poll_without_a_message_is_answered_after_10_seconds(shared_gateway: Gateway, room: str) -> None:
    session = LongPoll(shared_gateway.port).open()
    session.join(room)
    began = time.monotonic()
    assert session.ask("GET") == {"status": 204, "token": session.token, "messages": []}
    assert 9 <= time.monotonic() - began <= 13
    shared_gateway.publish(room, "after it")
    assert events(session.messages(lambda messages: bool(events(messages)))) == ["after it"]


@pytest.mark.slow
def test_a_session_that_nobody_polls_ends(shared_gateway: Gateway, room: str) -> None:
    """And until then the client counts as present."""
    session = LongPoll(shared_gateway.port).open()
    session.join(room, presence={"key": "alice", "meta": {}})

    def members() -> bytes:
        return shared_gateway.request("GET", f"/apps/demo/channels/{room}/presence").body

    began = time.monotonic()
    while b"alice" in members():
        assert time.monotonic() - began < IDLE_TIME + 10
        time.sleep(0.2)
    assert time.monotonic() - began >= IDLE_TIME - 1
    assert session.ask("POST")["status"] == 410
