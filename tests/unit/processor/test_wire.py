"""A native server whose thread asks real services over gRPC by itself, and what becomes of what it leaves."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gevent
import grpc
import pytest
from tests.grpc_service import Answer as ServiceAnswer
from tests.grpc_service import accept_all, hang, service
from tests.peers import Peer, event, http_peer
from tests.peers import accept_all as accept_all_by_http
from tests.peers import hang as hang_as_peer
from tests.serving import PATIENCE, free_port, wait_until

from polyglot_gateway import _core
from polyglot_gateway.errors import ProcessorUnavailable
from polyglot_gateway.processor import wire as ours
from polyglot_gateway.processor.base import Event, Verdict
from polyglot_gateway.processor.embedded import EmbeddedProcessor
from polyglot_gateway.processor.open import open_processor
from polyglot_gateway.processor.proto import processor_pb2 as pb
from polyglot_gateway.processor.remote import RemoteProcessor
from polyglot_gateway.server.process_loop import ProcessLoop

SECONDS = 0.6
SECRET = '{"secret":"424242"}'


class Worker:
    """A server before a processor over gRPC.

    Attributes:
        by_python: Batches that were processed by Python's way.
    """

    def __init__(self, folder: Path, processor: RemoteProcessor) -> None:
        self.processor = processor
        self.gateway = _core.Gateway(str(folder), history_bytes=1 << 20, max_channels=10, idempotency_keys=10)
        self.gateway.configure(_core.Access(development=True), _core.Rules(_core.ChannelRule()))
        self.server = _core.Server(self.gateway, processes=True)
        self.by_python = 0
        self._loop = ProcessLoop(self.server, self)
        self.wire = processor.wire
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.server.start([listener.fileno()])
            self.port: int = listener.getsockname()[1]
        self._loop.start()

    def process(self, events: Sequence[Event]) -> list[Verdict]:
        self.by_python += 1
        return self.processor.process(events)

    def breaker(self) -> dict[str, Any]:
        return self.processor.breaker()

    def close(self) -> None:
        self._loop.stop()
        self.server.stop()
        self.processor.close()

    def publish(self, data: str = "1") -> tuple[int, dict[str, Any]]:
        """Status and answer; gevent's loop runs meanwhile."""
        return gevent.get_hub().threadpool.apply(self._publish, (data,))

    def _publish(self, data: str) -> tuple[int, dict[str, Any]]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            body = json.dumps({"type": "t", "data": json.loads(data)})
            connection.request("POST", "/apps/app/channels/room/publish", body, {"X-API-Key": "valid_key_app"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def publish_until_lent(self) -> None:
        """From now on the thread asks by itself."""

        def asks() -> bool:
            before = self.by_python
            assert self.publish()[0] == 200
            return self.by_python == before

        wait_until(asks, "the thread to ask", pause=gevent.sleep)

    def wait_until_taken_back(self) -> None:
        wait_until(lambda: not self.server.has_process_wire(), "the end of the loan", pause=gevent.sleep)

    def failures(self) -> list[int]:
        return [endpoint["failures"] for endpoint in self.breaker()["endpoints"]]

    def kept(self) -> list[Any]:
        return [kept["data"] for kept in json.loads(self.gateway.history("app", "room"))["events"]]


@pytest.fixture
def closed_later() -> Iterator[Callable[[Peer], Peer]]:
    """For peers that end when the worker has left them."""
    with contextlib.ExitStack() as stack:
        yield lambda peer: stack.enter_context(contextlib.closing(peer))


@pytest.fixture
def by_http(closed_later: Callable[[Peer], Peer]) -> Peer:
    """Accepts all."""
    return closed_later(http_peer(accept_all_by_http))


@pytest.fixture
def start(
    closed_later: Callable[[Peer], Peer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Worker]]:
    """Starts a worker before the service over gRPC at this port, and by HTTP at another."""
    monkeypatch.setattr(ours, "_PAUSE", 0.0)
    with contextlib.ExitStack() as stack:

        def start_one(port: int, http_port: int = 1, user: str = "", **options: Any) -> Worker:
            url = f"http://{user}127.0.0.1:{http_port}"
            processor = open_processor("grpc", [url], grpc_port=port, **{"timeout": PATIENCE, **options})
            return stack.enter_context(contextlib.closing(Worker(tmp_path, processor)))

        yield start_one


class Switch:
    """A service that accepts all until it is told what else to do, once.

    Attributes:
        then: What.
        asked: How often it did it.
    """

    def __init__(self) -> None:
        self.then: ServiceAnswer | None = None
        self.asked = 0

    def __call__(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        if self.then is None:
            return accept_all(request, context)
        self.asked += 1
        then, self.then = self.then, None
        return then(request, context)


def first_id(request: bytes) -> str:
    return pb.Events.FromString(request).events[0].id


def refuse(code: grpc.StatusCode, details: str = "424242 secret") -> ServiceAnswer:
    return lambda request, context: context.abort(code, details)


def say(*members: dict[str, Any]) -> ServiceAnswer:
    """Verdicts with these members; the id is the event's unless it is among them."""

    def answer(request: bytes, _: object) -> bytes:
        return pb.Verdicts(
            verdicts=[pb.Verdict(**{"id": first_id(request), **member}) for member in members]
        ).SerializeToString()

    return answer


def test_once_a_batch_went_well_the_thread_asks_by_itself(start: Callable[..., Worker]) -> None:
    switch = Switch()
    with service(switch) as served:
        worker = start(served.port, user="me:s%40cret@")
        worker.publish_until_lent()
        before = worker.by_python, len(served.calls)
        offset = worker.publish()[1]["offset"]
        switch.then = say({"kind": pb.Verdict.REPLACE, "data": b'{ "seen":1.10}'})
        assert worker.publish()[1]["offset"] == offset + 1
        switch.then = say({"kind": pb.Verdict.REJECT, "reason": "nö"})
        status, answer = worker.publish()
        assert (status, answer["code"]) == (422, "event_rejected")
        assert answer["error"] == "The processor refused the event: nö"
        assert (worker.by_python, len(served.calls)) == (before[0], before[1] + 3)
        assert served.calls[-1]["authorization"] == f"Basic {base64.b64encode(b'me:s@cret').decode()}"
        assert worker.kept()[-2:] == [1, {"seen": 1.1}]
        assert b'{ "seen":1.10}' in worker.gateway.history("app", "room")


MISBEHAVIOURS: dict[str, tuple[ServiceAnswer, str]] = {
    "hangs": (hang, "did not answer within 600 ms"),
    "raises": (lambda *_: 1 / 0, "with the status UNKNOWN"),  # type: ignore[dict-item, return-value]
    "fails": (refuse(grpc.StatusCode.INTERNAL), "with the status INTERNAL"),
    "is not there": (refuse(grpc.StatusCode.UNAVAILABLE), "with the status UNAVAILABLE"),
    "has lost another": (
        refuse(grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses; 424242: secret"),
        "with the status UNAVAILABLE",
    ),
    "has too much": (refuse(grpc.StatusCode.RESOURCE_EXHAUSTED), "with the status RESOURCE_EXHAUSTED"),
    "answers no message": (lambda *_: b"\xff424242", "something else than verdicts"),
    "answers another id": (say({"id": "evt_424242", "kind": 1}), "answered verdicts on other events"),
    "answers too little": (say(), "answered 0 verdicts on 1 events"),
    "answers too much": (say({"kind": 1}, {"kind": 1}), "answered 2 verdicts on 1 events"),
    "answers nothing definite": (say({}), "answered something else than verdicts"),
    "answers an odd kind": (say({"kind": 99}), "answered something else than verdicts"),
}


@pytest.mark.parametrize("name", MISBEHAVIOURS)
def test_a_batch_that_may_have_been_processed_fails_in_time_and_is_sent_once(
    start: Callable[..., Worker], name: str
) -> None:
    then, said = MISBEHAVIOURS[name]
    switch = Switch()
    with service(switch) as served:
        worker = start(served.port, timeout=SECONDS if name == "hangs" else PATIENCE)
        worker.publish_until_lent()
        before, kept = worker.by_python, worker.kept()
        switch.then = then
        begin = time.monotonic()
        status, answer = worker.publish(SECRET)
        assert time.monotonic() - begin < PATIENCE / 2
        assert (status, answer["code"], switch.asked) == (503, "processor_unavailable", 1)
        assert answer["error"].startswith(f"The processor at grpc://127.0.0.1:{served.port} ")
        assert said in answer["error"]
        assert "424242" not in answer["error"]
        assert "secret" not in answer["error"]
        assert worker.kept() == kept
        assert worker.by_python == before
        assert worker.failures()[0] == 1
        assert not worker.server.has_process_wire()
        worker.publish_until_lent()
        assert worker.failures()[0] == 0


def test_a_service_that_has_enough_to_do_leaves_the_batch_to_another(
    start: Callable[..., Worker], by_http: Peer
) -> None:
    switch = Switch()
    with service(switch) as served:
        worker = start(served.port, by_http.port)
        worker.publish_until_lent()
        busy = refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!")

        def busy_twice(request: bytes, context: grpc.ServicerContext) -> bytes:
            switch.then = busy
            return busy(request, context)

        switch.then = busy_twice
        assert worker.publish()[0] == 200
        assert (len(by_http.got), switch.asked) == (1, 2)
        assert worker.failures() == [0, 0]


def test_a_service_that_drains_leaves_no_batch_without_an_answer(start: Callable[..., Worker], by_http: Peer) -> None:
    port = free_port()
    worker = start(port, by_http.port, breaker=False)
    for _ in range(3):
        with service(accept_all, port):
            worker.publish_until_lent()
        worker.wait_until_taken_back()
        assert worker.publish()[0] == 200
        assert by_http.got


def test_a_call_that_the_service_has_not_taken_goes_another_way_in_the_time_that_is_left() -> None:
    unseen = ours.Answer(way=0, admission=0, status=14, unseen=True, text=b"", seconds=0.0)
    with contextlib.closing(http_peer(accept_all_by_http)) as peer:
        processor = open_processor("grpc", [peer.url], grpc_port=free_port(), timeout=PATIENCE)
        with contextlib.closing(processor):
            assert processor.wire is not None
            assert processor.wire.settle([event()], unseen) == [Verdict("accept")]
            with pytest.raises(ProcessorUnavailable, match=r"did not answer within 20 s\.$"):
                processor.wire.settle([event()], unseen._replace(seconds=PATIENCE))
            assert [endpoint["failures"] for endpoint in processor.breaker()["endpoints"]] == [1, 0]
        assert len(peer.got) == 1


def test_nothing_is_lent_where_an_instance_does_not_answer(start: Callable[..., Worker]) -> None:
    worker = start(free_port())
    worker.wire.lend(worker.server)
    assert not worker.server.has_process_wire()
    assert worker.publish()[0] == 503
    assert worker.failures()[0] == 1


def test_a_service_that_does_not_say_hello_is_asked_by_python(
    start: Callable[..., Worker], closed_later: Callable[[Peer], Peer], by_http: Peer
) -> None:
    worker = start(closed_later(Peer(hang_as_peer)).port, by_http.port, timeout=3.0)
    worker.wire.lend(worker.server)
    assert worker.publish()[0] == 200
    assert worker.by_python == 1
    worker.wait_until_taken_back()


def test_a_failure_by_pythons_way_takes_the_connections_back(start: Callable[..., Worker]) -> None:
    switch = Switch()
    with service(switch) as served:
        worker = start(served.port)
        worker.publish_until_lent()
        switch.then = refuse(grpc.StatusCode.INTERNAL)
        with pytest.raises(ProcessorUnavailable):
            worker.processor.process([event()])
        worker.wait_until_taken_back()
        worker.wire.lend(worker.server)
        assert not worker.server.has_process_wire(), "as long as it is in trouble"
        worker.publish_until_lent()


def test_there_is_an_attempt_only_now_and_then(start: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "_PAUSE", 1000.0)
    with service(accept_all) as served:
        worker = start(served.port)
        worker.publish_until_lent()
        worker.server.revoke_process_wire()
        for _ in range(3):
            assert worker.publish()[0] == 200
        assert not worker.server.has_process_wire()


def test_what_is_not_asked_over_grpc_or_is_observed_has_none() -> None:
    def observe(*_: object) -> Any:
        raise AssertionError("nothing is asked here")

    assert EmbeddedProcessor(lambda events: []).wire is None
    for kind, options in (("http", {}), ("grpc", {"observe": observe})):
        with contextlib.closing(open_processor(kind, ["http://127.0.0.1:1"], **options)) as processor:  # type: ignore[arg-type]
            assert processor.wire is None
