"""A gateway whose events a processor sees before they are kept, and what becomes of them when something is wrong there.

Each event that is acknowledged is kept once, as the processor wanted it; of no other there is a trace.
"""

import contextlib
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.peers import (
    Peer,
    goaway,
    hang,
    http2_peer,
    http_answer,
    http_peer,
    reset,
    say,
    trickle,
)
from tests.processor_service import ProcessorService
from tests.redis_server import RedisServer
from tests.serving import PATIENCE, Gateway, free_port, wait_until

FUNCTION = """
import time
from polyglot_gateway.processor.base import ACCEPT, reject, replace

def process(events):
    return [verdict(event) for event in events]

def verdict(event):
    data = event.json()
    if data == "bad":
        return reject("it is bad")
    if data == "slow":
        time.sleep(2)
    if data == "large":
        return replace("x" * 70_000)
    return replace({"seen": data})
"""
CONFIG = """
[apps."*"]
rules = [
  { channels = "plain:*", processor = false },
  { channels = "bypass:*", on_processor_down = "bypass" },
]
"""
TIMEOUT = 0.5
BREAKER_SECONDS = 30.0


@pytest.fixture(params=["native", "wsgi"])
def server(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Starts gateways: `start(server, *arguments, ENVIRONMENT=…)`; they are killed at the end of the test."""
    (tmp_path / "polyglot.toml").write_text(CONFIG)
    (tmp_path / "seen.py").write_text(FUNCTION)
    with contextlib.ExitStack() as stack:

        def start_one(server: str, workers: int = 1, **environment: str) -> Gateway:
            arguments = ("--workers", str(workers), "--server", server)
            gateway = Gateway(tmp_path, free_port(), arguments, environment)
            stack.callback(gateway.kill_everything)
            return gateway

        yield start_one


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[Callable[..., ProcessorService]]:
    """Starts the processor of FUNCTION; it is killed at the end of the test."""
    with contextlib.ExitStack() as stack:

        def start_one(**ports: int) -> ProcessorService:
            service = ProcessorService(tmp_path, "seen:process", **ports)
            stack.callback(service.kill_everything)
            return service.wait_until_ready()

        yield start_one


def asked_by(kind: str, service: ProcessorService) -> dict[str, str]:
    """The settings for a service."""
    found = {"PROCESSOR_URL": service.url, "PROCESSOR_GRPC_PORT": str(service.grpc_port)}
    return found | {"USE_GRPC": "true" if kind == "grpc" else "false"}


def send(gateway: Gateway, data: Any, channel: str = "room", key: str = "") -> tuple[int, dict[str, Any]]:
    body = json.dumps({"type": "message", "data": data}).encode()
    headers = {"Idempotency-Key": key} if key else {}
    answer = gateway.request("POST", f"/apps/demo/channels/{channel}/publish", body, headers)
    return answer.status, json.loads(answer.body)


def kept(gateway: Gateway, channel: str = "room") -> list[Any]:
    return [event["data"] for event in gateway.history(channel)["events"]]


@pytest.mark.parametrize("kind", ["embedded", "http", "grpc"])
def test_what_is_kept_is_what_the_processor_says(
    start: Callable[..., Gateway], start_service: Callable[..., ProcessorService], server: str, kind: str
) -> None:
    settings = {"PROCESSOR_FUNCTION": "seen:process"} if kind == "embedded" else asked_by(kind, start_service())
    gateway = start(server, **settings).wait_until_ready()
    stream = gateway.subscribe("room")
    assert send(gateway, 1)[0] == 200
    status, answer = send(gateway, "bad")
    assert (status, answer["code"]) == (422, "event_rejected")
    assert answer["error"] == "The processor refused the event: it is bad"
    status, answer = send(gateway, "large")
    assert (status, answer["code"]) == (413, "payload_too_large")
    assert "processor" in answer["error"]
    assert send(gateway, [2])[1]["offset"] == 2
    assert kept(gateway) == [{"seen": 1}, {"seen": [2]}]
    told = (event for kind, event in iter(stream.next, None) if kind == "message")
    assert [next(told)["data"] for _ in range(2)] == kept(gateway)
    assert send(gateway, "bad", "plain:1")[0] == 200
    sent = [{"channel": f"c{number}", "type": "t", "data": number} for number in range(300)]
    answer = gateway.request("POST", "/apps/demo/publish", json.dumps({"events": sent}).encode())
    assert [result["offset"] for result in json.loads(answer.body)["results"]] == [1] * 300
    assert kept(gateway, "c299") == [{"seen": 299}]
    state = json.loads(gateway.request("GET", "/api/debug/circuit-breaker").body)
    assert (state["processor"], state["state"]) == (kind, "closed")


def test_events_go_by_the_processor_to_redis(
    start: Callable[..., Gateway], start_service: Callable[..., ProcessorService], server: str, tmp_path: Path
) -> None:
    with contextlib.closing(RedisServer(tmp_path / "redis", "--save", "", "--appendonly", "no")) as redis:
        gateway = start(server, REDIS_URL=redis.url, **asked_by("grpc", start_service())).wait_until_ready()
        assert [send(gateway, number)[0] for number in range(5)] == [200] * 5
        assert send(gateway, "bad")[0] == 422
        assert kept(gateway) == [{"seen": number} for number in range(5)]
        assert send(gateway, 1, key="k")[1] == send(gateway, 1, key="k")[1]
        assert len(kept(gateway)) == 6


class Publisher(threading.Thread):
    """Publishes one event after the other, each until it is acknowledged, until it is stopped."""

    def __init__(self, gateway: Gateway, number: int) -> None:
        super().__init__(daemon=True)
        self.acknowledged: list[str] = []
        self.refusals: list[dict[str, Any]] = []
        self.stopped = threading.Event()
        self._gateway = gateway
        self._channel = f"load:{number % 2}"

    def run(self) -> None:
        while not self.stopped.is_set():
            key = str(uuid.uuid4())
            while not self.stopped.is_set():
                status, answer = send(self._gateway, key, self._channel, key)
                if status == 200:
                    self.acknowledged.append(key)
                    break
                self.refusals.append(answer)
                self.stopped.wait(0.02)


class Load:
    """Several publishers, and whether what they were told is true."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._publishers = [Publisher(gateway, number) for number in range(6)]
        for publisher in self._publishers:
            publisher.start()

    def acknowledged(self) -> list[str]:
        return [key for publisher in self._publishers for key in publisher.acknowledged]

    def refusals(self) -> list[dict[str, Any]]:
        return [refusal for publisher in self._publishers for refusal in publisher.refusals]

    def wait_for(self, more: int) -> None:
        """Return when so many more are acknowledged."""
        enough = len(self.acknowledged()) + more
        wait_until(lambda: len(self.acknowledged()) >= enough, "acknowledgements")

    def wait_for_refusals(self) -> None:
        """Return when every publisher was refused something."""
        wait_until(lambda: all(publisher.refusals for publisher in self._publishers), "refusals")

    def stop_and_check(self) -> None:
        """Nothing that was acknowledged is lost, and nothing is kept twice or unprocessed."""
        for publisher in self._publishers:
            publisher.stopped.set()
        for publisher in self._publishers:
            publisher.join()
        for refusal in self.refusals():
            assert refusal["code"] == "processor_unavailable"
            assert "processor" in refusal["error"]
        found = [data["seen"] for channel in ("load:0", "load:1") for data in kept(self._gateway, channel)]
        assert len(found) == len(set(found))
        assert set(self.acknowledged()) <= set(found)
        # The last of each may have been kept without being heard of.
        assert len(found) <= len(self.acknowledged()) + len(self._publishers)


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_a_processor_killed_under_load_loses_and_doubles_nothing(
    start: Callable[..., Gateway], start_service: Callable[..., ProcessorService], server: str, kind: str
) -> None:
    service = start_service()
    gateway = start(server, USE_CIRCUIT_BREAKER="false", PROCESSOR_TIMEOUT="1", **asked_by(kind, service))
    load = Load(gateway.wait_until_ready())
    load.wait_for(100)
    service.kill_everything()
    load.wait_for_refusals()
    start_service(http_port=service.http_port, grpc_port=service.grpc_port)
    load.wait_for(100)
    load.stop_and_check()


def verdicts(*ids_and_more: dict[str, Any]) -> bytes:
    return http_answer(json.dumps({"verdicts": list(ids_and_more)}).encode())


OVER_HTTP: dict[str, Callable[..., Any]] = {
    "hangs": hang,
    "closes without an answer": say(),
    "resets the connection": reset,
    "answers something else": say(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "answers no JSON": say(http_answer(b"garbage")),
    "answers too few verdicts": say(verdicts()),
    "answers on another event": say(verdicts({"id": "evt_0", "verdict": "accept"})),
    "fails": say(http_answer(b"{}", "500 Internal Server Error")),
    "breaks off in its answer": say(http_answer(b"{}" * 100)[:-50]),
    "answers a byte now and then": trickle(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "never ends its answer": trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", b"x" * 100_000),
}


@contextlib.contextmanager
def closing(peer: Peer) -> Iterator[Peer]:
    try:
        yield peer
    finally:
        peer.close()


def refuses_all_but_those_that_bypass(gateway: Gateway) -> None:
    began = time.monotonic()
    status, answer = send(gateway, 1)
    assert (status, answer["code"]) == (503, "processor_unavailable"), answer
    assert "processor" in answer["error"]
    assert time.monotonic() - began < 10 * TIMEOUT
    assert send(gateway, 2, "bypass:1")[0] == 200
    assert send(gateway, 3, "plain:1")[0] == 200
    assert (kept(gateway), kept(gateway, "bypass:1"), kept(gateway, "plain:1")) == ([], [2], [3])


@pytest.mark.parametrize("fault", OVER_HTTP)
def test_a_processor_that_misbehaves_over_http(start: Callable[..., Gateway], fault: str) -> None:
    with closing(http_peer(OVER_HTTP[fault])) as peer:
        gateway = start("native", PROCESSOR_URL=peer.url, PROCESSOR_TIMEOUT=str(TIMEOUT))
        refuses_all_but_those_that_bypass(gateway.wait_until_ready())


@pytest.mark.parametrize("fault", ["hangs", "goes away", "resets", "answers something else"])
def test_a_processor_that_misbehaves_over_grpc(start: Callable[..., Gateway], fault: str) -> None:
    def answer(peer: Peer, connection: Any, stream: int) -> None:
        if fault == "hangs":
            hang(peer)
        elif fault == "goes away":
            connection.sendall(goaway(stream))
        elif fault == "resets":
            reset(peer, connection, b"")
        else:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    # Over HTTP nobody is there, so what gRPC has surely not reached fails there.
    with closing(http2_peer(answer)) as peer:
        gateway = start(
            "native",
            PROCESSOR_URL=f"http://127.0.0.1:{free_port()}",
            USE_GRPC="true",
            PROCESSOR_GRPC_PORT=str(peer.port),
            PROCESSOR_TIMEOUT=str(TIMEOUT),
        )
        refuses_all_but_those_that_bypass(gateway.wait_until_ready())


@pytest.mark.parametrize("kind", ["http", "grpc"])
@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_a_processor_that_is_not_there(start: Callable[..., Gateway], server: str, host: str, kind: str) -> None:
    settings = {"PROCESSOR": kind, "PROCESSOR_URL": f"http://{host}:{free_port()}"}
    gateway = start(server, PROCESSOR_GRPC_PORT=str(free_port()), PROCESSOR_TIMEOUT="2", **settings)
    refuses_all_but_those_that_bypass(gateway.wait_until_ready())


def test_a_slow_event_holds_up_its_own_channel_alone(
    start: Callable[..., Gateway], start_service: Callable[..., ProcessorService]
) -> None:
    gateway = start("native", PROCESSOR_TIMEOUT=str(TIMEOUT), **asked_by("grpc", start_service())).wait_until_ready()
    answers: list[tuple[int, dict[str, Any]]] = []
    slow = threading.Thread(target=lambda: answers.append(send(gateway, "slow", "slow")))
    slow.start()
    while slow.is_alive():
        assert send(gateway, 1)[0] == 200
    assert (answers[0][0], answers[0][1]["code"]) == (503, "processor_unavailable")
    assert "did not answer within" in answers[0][1]["error"]
    assert kept(gateway, "slow") == []
    assert len(kept(gateway)) > 1


def test_an_open_breaker_is_told_and_fails_at_once(start: Callable[..., Gateway], server: str) -> None:
    with closing(http_peer(hang)) as peer:
        gateway = start(server, PROCESSOR_URL=peer.url, PROCESSOR_TIMEOUT="0.2").wait_until_ready()
        wait_until(lambda: "is not asked" in send(gateway, 1)[1]["error"], "the breaker")
        asked = len(peer.got)
        assert asked == 5
        assert [send(gateway, number)[0] for number in range(20)] == [503] * 20
        assert len(peer.got) == asked
        ready = gateway.request("GET", "/ready")
        assert ready.status == 503
        assert b"processor" in ready.body
        assert gateway.request("GET", "/alive").status == 200
        state = json.loads(gateway.request("GET", "/api/debug/circuit-breaker").body)
        assert (state["enabled"], state["state"], state["endpoints"][0]["failures"]) == (True, "open", 5)
        assert 0 < state["endpoints"][0]["next_try_in"] <= 30
        assert 'state="open"' in gateway.request("GET", "/metrics").body.decode()
        assert send(gateway, 1, "bypass:1")[0] == 200
        assert kept(gateway) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_kill_the_processor_and_start_it_again(
    start: Callable[..., Gateway], start_service: Callable[..., ProcessorService], server: str, kind: str
) -> None:
    """Publishes fail fast and /ready is 503; within the time of the breaker all is well again, also under load."""
    service = start_service()
    settings = asked_by(kind, service)
    settings["GO_PROCESSOR_URL"] = settings.pop("PROCESSOR_URL")
    gateway = start(server, **settings).wait_until_ready()
    load = Load(gateway)
    load.wait_for(100)
    service.kill_everything()
    wait_until(lambda: gateway.request("GET", "/ready").status == 503, "the breaker")
    assert "is not asked" in send(gateway, 2)[1]["error"]
    start_service(http_port=service.http_port, grpc_port=service.grpc_port)
    wait_until(lambda: send(gateway, 3)[0] == 200, "the processor to be asked again", BREAKER_SECONDS + PATIENCE)
    assert gateway.request("GET", "/ready").status == 200
    load.wait_for(100)
    load.stop_and_check()
    assert kept(gateway) == [{"seen": 3}]
