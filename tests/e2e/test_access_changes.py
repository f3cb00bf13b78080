"""Keys that end, are rotated and revoked, and signing keys that change: both servers run on all the while."""

import http.client
import json
import math
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.key_sets import KeySource, key_set, key_source, rsa_key, signed
from tests.production import KEYS, ProductionGateway, token
from tests.serving import POLYGLOT, Stream, wait_until
from tests.websocket import WebSocket

Start = Callable[..., ProductionGateway]


@pytest.fixture(params=["native", "wsgi"])
def server(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a gateway with two workers, and returns it once it is ready."""
    started: list[ProductionGateway] = []

    def run(server: str, **environment: str) -> ProductionGateway:
        started.append(ProductionGateway(tmp_path, "--workers", "2", "--server", server, **environment))
        return started[-1].wait_until_ready()

    yield run
    for gateway in started:
        gateway.kill_everything()


def keys(gateway: ProductionGateway, *arguments: str) -> str:
    """Run `polyglot keys` in the gateway's folder; what it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("POLYGLOT_")}
    command = [*POLYGLOT, "keys", *arguments]
    done = subprocess.run(command, cwd=gateway.folder, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def answers(gateway: ProductionGateway, headers: dict[str, str]) -> set[tuple[int, str]]:
    """What all workers answer to a publish and a history: statuses and errors."""
    found = set()
    for _ in range(8):
        for method, action, body in (("POST", "publish", b'{"type":"a","data":1}'), ("GET", "history", None)):
            response = gateway.request(method, f"/apps/demo/channels/room:1/{action}", body, headers)
            found.add((response.status, json.loads(response.body).get("error", "")))
    return found


OK = {(200, "")}
OVER = {(401, "The API key has expired.")}
NONE = {(401, "The API key is not a key of this app.")}


def reload(gateway: ProductionGateway) -> None:
    gateway.process.send_signal(signal.SIGHUP)


def stream_of(gateway: ProductionGateway, channel: str, key: str) -> Stream:
    stream = Stream(gateway.port, f"/apps/demo/channels/{channel}/events?since=0&key={key}", "")
    assert stream.response.status == 200
    gateway.publish(channel, "heard")
    assert stream.next()[1]["data"] == "heard"
    return stream


def wait_for_end(gateway: ProductionGateway, channel: str, stream: Stream) -> None:
    """The stream ends within a second, or at the next event."""

    def is_over() -> bool:
        gateway.publish(channel, "unheard, in a second at the latest")
        try:
            stream.next()
        except EOFError:
            return True
        return False

    began = time.monotonic()
    wait_until(is_over, "the stream to end")
    assert time.monotonic() - began < 5


def test_a_key_expires_without_a_reload_and_takes_its_streams_with_it(start: Start, server: str) -> None:
    gateway = start(server)
    key = keys(gateway, "generate", "demo", "--name", "brief", "--expires", "6s", "--save")
    reload(gateway)
    wait_until(lambda: answers(gateway, {"X-API-Key": key}) == OK, "the key to hold")
    stream = stream_of(gateway, "room:2", key)
    socket = WebSocket(gateway.port, token=key) if server == "native" else None
    if socket:
        socket.join("room:2")
    wait_until(lambda: answers(gateway, {"X-API-Key": key}) == OVER, "its end")
    assert answers(gateway, {"X-API-Key": "guess"}) == NONE
    if socket:
        error = socket.next("phx_error").payload
        assert error == {"code": "unauthorized", "error": "The API key has expired."}
    wait_for_end(gateway, "room:2", stream)


def test_a_rotated_key_holds_beside_the_new_one_for_a_while(start: Start, server: str) -> None:
    gateway = start(server)
    old = keys(gateway, "generate", "demo", "--name", "ci", "--save")
    reload(gateway)
    wait_until(lambda: answers(gateway, {"X-API-Key": old}) == OK, "the key to hold")
    new = keys(gateway, "rotate", "demo", "ci", "--grace", "6s")
    reload(gateway)
    wait_until(lambda: answers(gateway, {"X-API-Key": new}) == OK, "the new key to hold")
    assert answers(gateway, {"X-API-Key": old}) <= OK | OVER
    wait_until(lambda: answers(gateway, {"X-API-Key": old}) == OVER, "the old one's end")
    assert answers(gateway, {"X-API-Key": new}) == OK


def test_a_revoked_key_is_refused_and_its_streams_end_but_no_others(start: Start, server: str) -> None:
    gateway = start(server)
    workers = gateway.workers()
    key = keys(gateway, "generate", "demo", "--name", "leaked", "--save")
    reload(gateway)
    wait_until(lambda: answers(gateway, {"X-API-Key": key}) == OK, "the key to hold")
    revoked, stays = stream_of(gateway, "room:3", key), stream_of(gateway, "room:4", KEYS["demo"].replace(" ", "+"))
    by_token = stream_of(gateway, "room:5", token({"room:5": ["subscribe"]}))
    sockets = [WebSocket(gateway.port, token=each) for each in (key, KEYS["demo"])] if server == "native" else []
    for socket in sockets:
        socket.join("room:3")

    keys(gateway, "revoke", "demo", "leaked")
    reload(gateway)
    wait_until(lambda: answers(gateway, {"X-API-Key": key}) == NONE, "the key to be refused")
    if sockets:
        assert sockets[0].next("phx_error").payload["code"] == "unauthorized"
        assert sockets[0].refusal(sockets[0].ask_to_join("room:3"))[0] == "unauthorized"
    wait_for_end(gateway, "room:3", revoked)
    for stream, channel in ((stays, "room:4"), (by_token, "room:5")):
        gateway.publish(channel, "on and on")
        assert stream.next()[1]["data"] == "on and on"
    if sockets:
        assert sockets[1].next("event", "phx_error").payload["data"].startswith("unheard")
    assert gateway.workers() == workers


def test_a_channel_that_is_no_longer_public_is_closed_to_who_has_no_key(start: Start, server: str) -> None:
    gateway = start(server)
    stream = Stream(gateway.port, "/apps/demo/channels/open:1/events?since=0", "")
    config = gateway.folder / "polyglot.toml"
    config.write_text(config.read_text().replace("public_read = true", "public_read = false"))
    reload(gateway)
    history = "/apps/demo/channels/open:1/history"
    refused = {401}
    wait_until(
        lambda: {gateway.request("GET", history, headers={"X-API-Key": ""}).status for _ in range(8)} == refused, "it"
    )
    wait_for_end(gateway, "open:1", stream)


def test_a_stream_ends_with_its_token(start: Start, server: str) -> None:
    gateway = start(server)
    end = math.ceil(time.time()) + 3
    brief = token({"room:6": ["subscribe"]}, seconds=3)
    stream = stream_of(gateway, "room:6", brief)
    wait_until(lambda: time.time() > end + 1, "the token's end")
    wait_for_end(gateway, "room:6", stream)


@pytest.fixture
def source() -> Iterator[KeySource]:
    with key_source() as source:
        yield source


def bearer(credential: str) -> dict[str, str]:
    # An empty X-API-Key would go before it.
    return {"Authorization": f"Bearer {credential}"}


class Client:
    """Sends tokens, and no key."""

    def __init__(self, gateway: ProductionGateway) -> None:
        self._gateway = gateway

    def statuses(self, credential: str) -> set[int]:
        """Of what all workers answer."""
        found = set()
        for _ in range(8):
            connection = http.client.HTTPConnection("127.0.0.1", self._gateway.port, timeout=20)
            connection.request("GET", "/apps/demo/channels/room:1/history", headers=bearer(credential))
            found.add(connection.getresponse().status)
            connection.close()
        return found


def test_signing_keys_change_without_a_restart(start: Start, server: str, source: KeySource) -> None:
    gateway = start(server, JWT_JWKS=source.url)
    client = Client(gateway)
    first = signed(rsa_key(), "one")
    wait_until(lambda: client.statuses(first) == {200}, "the first keys")
    asked = source.asked
    assert asked <= 2, "once for each worker"
    source.body = key_set(two=rsa_key(1))
    reload(gateway)  # or in a few minutes
    wait_until(lambda: client.statuses(signed(rsa_key(1), "two")) == {200}, "the new keys")
    assert client.statuses(first) == {401}
    for number in range(20):
        assert client.statuses(signed(rsa_key(2), f"unknown {number}")) == {401}
    assert source.asked <= asked + 2 + 2, "what strangers send makes nobody ask the source again and again"
    if server == "native":
        WebSocket(gateway.port, token=signed(rsa_key(1), "two")).join("room:1")


def test_keys_whose_source_fails_go_on_to_hold_and_it_is_said(start: Start, server: str, source: KeySource) -> None:
    gateway = start(server, JWT_JWKS=source.url)
    client = Client(gateway)
    wait_until(lambda: source.asked == 2, "both workers to ask")
    wait_until(lambda: client.statuses(signed(rsa_key(), "one")) == {200}, "the keys")
    source.status = 503
    reload(gateway)
    wait_until(lambda: gateway.log.read_text().count("the key set cannot be read") == 2, "both workers to say it")
    assert client.statuses(signed(rsa_key(), "one", sub="ben")) == {200}


def test_a_gateway_whose_key_source_is_gone_starts_and_serves_keys(start: Start, server: str) -> None:
    with key_source() as source:
        url = source.url
    gateway = start(server, JWT_JWKS=url)
    assert answers(gateway, {"X-API-Key": KEYS["demo"]}) == OK
    assert Client(gateway).statuses(signed(rsa_key(), "one")) == {503}
    assert Client(gateway).statuses(token({"room:*": ["history"]})) == {200}
