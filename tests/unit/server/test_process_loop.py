"""A native server before a processor in its process; beside gevent's loop runs what asks it."""

import http.client
import json
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event as Signal

from polyglot_gateway import _core
from polyglot_gateway.errors import ProcessorUnavailable
from polyglot_gateway.processor.base import ACCEPT, Event, Verdict, reject, replace
from polyglot_gateway.server.process_loop import ProcessLoop

PATIENCE = 20.0


class Worker:
    """Its own processor.

    Attributes:
        calls: What it was asked.
        goes: Cleared, it waits.
    """

    wire = None

    def __init__(self, folder: Path) -> None:
        self.gateway = _core.Gateway(str(folder), history_bytes=1 << 20, max_channels=10, idempotency_keys=10)
        self.gateway.configure(_core.Access(development=True), _core.Rules(_core.ChannelRule()))
        self.server = _core.Server(self.gateway, processes=True, most_processed=2)
        self.calls: list[Sequence[Event]] = []
        self.goes = Signal()
        self.goes.set()
        self.loop = ProcessLoop(self.server, self)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.server.start([listener.fileno()])
            self.port: int = listener.getsockname()[1]
        self.loop.start()

    def process(self, events: Sequence[Event]) -> list[Verdict]:
        self.calls.append(events)
        self.goes.wait()
        data = events[0].json()
        if data == "fail":
            raise ProcessorUnavailable("The processor does not answer.")
        if data == "defect":
            raise RuntimeError
        if data == "few":
            return []
        verdicts = {"bad": reject("it is bad"), "other": replace([1]), "odd": Verdict("odd")}  # type: ignore[arg-type]
        return [verdicts.get(event.json(), ACCEPT) for event in events]

    def ready(self) -> list[str]:
        return []

    def breaker(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        pass

    def publish(self, data: str, channel: str = "room") -> tuple[int, dict[str, Any]]:
        """Status and answer; the loop runs meanwhile."""
        return gevent.get_hub().threadpool.apply(self._publish, (data, channel))

    def _publish(self, data: str, channel: str) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            body = json.dumps({"type": "t", "data": data})
            path = f"/apps/app/channels/{channel}/publish"
            connection.request("POST", path, body, {"X-API-Key": "valid_key_app"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    worker = Worker(tmp_path)
    yield worker
    worker.loop.stop()
    worker.server.stop()


def test_verdicts_decide(worker: Worker) -> None:
    assert worker.publish("good")[0] == 200
    assert worker.publish("other")[0] == 200
    status, answer = worker.publish("bad")
    assert (status, answer["code"]) == (422, "event_rejected")
    events = json.loads(worker.gateway.history("app", "room"))["events"]
    assert [event["data"] for event in events] == ["good", [1]]
    assert [event["id"] for event in events] == [call[0].id for call in worker.calls[:2]]


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        ("fail", 503, "processor_unavailable"),
        ("defect", 500, "internal_error"),
        ("few", 500, "internal_error"),
        ("odd", 500, "internal_error"),
    ],
)
def test_failures_are_told(worker: Worker, logged: list[Any], data: str, status: int, code: str) -> None:
    found, answer = worker.publish(data)
    assert (found, answer["code"]) == (status, code)
    assert bool(logged) == (status == 500)
    assert worker.publish("good")[1]["offset"] == 1


def test_calls_go_side_by_side(worker: Worker) -> None:
    worker.goes.clear()
    publishers = [gevent.spawn(worker.publish, "good", channel) for channel in ("a", "b")]
    with gevent.Timeout(PATIENCE):
        while len(worker.calls) < 2:
            gevent.sleep(0.005)
    worker.goes.set()
    gevent.joinall(publishers, timeout=PATIENCE, raise_error=True)
    assert [publisher.value[0] for publisher in publishers] == [200, 200]


def test_what_is_under_way_at_the_end_is_told_to_have_failed(worker: Worker) -> None:
    worker.goes.clear()
    publisher = gevent.spawn(worker.publish, "good")
    with gevent.Timeout(PATIENCE):
        while not worker.calls:
            gevent.sleep(0.005)
    worker.loop.stop()
    publisher.join(PATIENCE)
    status, answer = publisher.value
    assert (status, answer["code"]) == (503, "processor_unavailable")
    assert worker.gateway.channel("app", "room").last_offset == 0
