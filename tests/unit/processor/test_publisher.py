import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from gevent import GreenletExit
from tests.serving import wait_until

from polyglot_gateway import _core
from polyglot_gateway.engine.base import Ack
from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.errors import GatewayError, PayloadTooLarge, ProcessorUnavailable
from polyglot_gateway.processor.base import ACCEPT, Event, Verdict, reject, replace
from polyglot_gateway.processor.embedded import EmbeddedProcessor
from polyglot_gateway.processor.publisher import ProcessingPublisher


class Stage:
    """An engine behind a processor.

    Attributes:
        calls: What each call of the function got.
        goes: Cleared, the function waits.
    """

    def __init__(self, folder: Path) -> None:
        self.engine = EmbeddedEngine(str(folder), history_bytes=1 << 20, max_channels=20, idempotency_keys=10)
        rules = _core.Rules(_core.ChannelRule(max_event_bytes=200))
        rules.add("*", "plain:*", _core.ChannelRule(processor=False))
        rules.add("*", "bypass:*", _core.ChannelRule(bypass_processor=True))
        self.engine.configure(_core.Access(development=True), rules)
        self.calls: list[Sequence[Event]] = []
        self.goes = threading.Event()
        self.goes.set()
        self.publisher = ProcessingPublisher(self.engine, EmbeddedProcessor(self._function))

    def _function(self, events: Sequence[Event]) -> list[Verdict]:
        self.calls.append(events)
        assert self.goes.wait(10)
        return [self._verdict(event) for event in events]

    @staticmethod
    def _verdict(event: Event) -> Verdict:
        data = event.json()
        if data == "fail":
            raise RuntimeError
        if data == "break off":
            raise GreenletExit
        if data == "bad":
            return reject("it is bad")
        if data == "large":
            return replace("x" * 300)
        return replace({"was": data, "by": event.user_id}) if isinstance(data, int) else ACCEPT

    def publish(self, data: Any, channel: str = "room", **sender: str) -> Any:
        return self.publisher.publish("demo", channel, json.dumps({"type": "t", "data": data}).encode(), **sender)

    def kept(self, channel: str = "room") -> list[Any]:
        return [event["data"] for event in json.loads(self.engine.history("demo", channel, 1000))["events"]]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.engine.close()


def test_what_is_kept_is_what_the_processor_says(stage: Stage) -> None:
    ack = stage.publish(7, user_id="alice", source_ip="10.0.0.1")
    assert stage.publish("good").offset == 2
    assert stage.kept() == [{"was": 7, "by": "alice"}, "good"]
    ((event,), _) = stage.calls
    assert event == Event(ack.id, "demo", "room", "t", b"7", ack.timestamp, "alice", "10.0.0.1")


def test_a_type_is_told_as_the_text_that_it_is(stage: Stage) -> None:
    body = rb'{"type":"\u00fc \"\\","data":"good"}'
    stage.publisher.publish("demo", "room", body)
    assert stage.calls[0][0].type == 'ü "\\'


def test_what_is_refused_is_told_and_leaves_no_trace(stage: Stage) -> None:
    with pytest.raises(GatewayError, match="The processor refused the event: it is bad") as refused:
        stage.publish("bad")
    assert refused.value.code == "event_rejected"
    with pytest.raises(PayloadTooLarge, match="processor"):
        stage.publish("large")
    assert stage.publish("good").offset == 1


def test_a_failure_is_told_unless_the_rule_lets_events_pass(stage: Stage) -> None:
    with pytest.raises(ProcessorUnavailable, match="The function of the processor tier failed"):
        stage.publish("fail")
    assert stage.kept() == []
    stage.publish("fail", "bypass:1")
    assert stage.kept("bypass:1") == ["fail"]


def test_the_rule_decides_what_is_processed(stage: Stage) -> None:
    stage.publish("bad", "plain:1")
    assert stage.calls == []
    assert stage.kept("plain:1") == ["bad"]


def test_a_key_gives_the_first_answer_again(stage: Stage) -> None:
    first = stage.publish(1, idempotency_key="k")
    again = stage.publish(1, idempotency_key="k")
    assert again.replayed
    assert again == first._replace(replayed=True)
    assert stage.kept() == [{"was": 1, "by": ""}]


def test_of_a_batch_each_event_is_on_its_own(stage: Stage) -> None:
    sent = [("a", 1), ("b", "bad"), ("no spaces", 1), ("plain:1", "bad"), ("c", "good")]
    events = [{"channel": channel, "type": "t", "data": data} for channel, data in sent]
    results = json.loads(stage.publisher.publish_batch("demo", json.dumps({"events": events}).encode()))["results"]
    assert [result["channel"] for result in results] == [channel for channel, _ in sent]
    assert [result.get("code") for result in results] == [None, "event_rejected", "invalid_channel", None, None]
    assert (stage.kept("a"), stage.kept("b"), stage.kept("c")) == ([{"was": 1, "by": ""}], [], ["good"])
    assert len(stage.calls) == 1
    told = json.loads(stage.publisher.broadcast("demo", b'{"channels":["d","e"],"type":"t","data":2}'))["results"]
    assert [result["offset"] for result in told] == [1, 1]
    assert stage.kept("e") == [{"was": 2, "by": ""}]


class Publishers:
    """One publishes and waits for the function; those with the data come meanwhile, in this order.

    Attributes:
        acks: Of those of the data that were acknowledged, by their number.
        errors: Of the others, and of who was first.
    """

    def __init__(self, stage: Stage, first: Any, data: list[Any]) -> None:
        self.acks: dict[int, Ack] = {}
        self.errors: dict[int, BaseException] = {}
        stage.goes.clear()
        threads = [self._start(stage, -1, first)]
        wait_until(lambda: len(stage.calls) == 1, "the first call")
        for number, one in enumerate(data):
            threads.append(self._start(stage, number, one))
            wait_until(lambda number=number: len(stage.publisher._waiting) == number + 1, "the others to gather")
        stage.goes.set()
        for thread in threads:
            thread.join()

    def _start(self, stage: Stage, number: int, data: Any) -> threading.Thread:
        def publish() -> None:
            try:
                if isinstance(data, bytes):
                    stage.publisher.publish_batch("demo", data)
                else:
                    self.acks[number] = stage.publish(data)
            except BaseException as error:
                self.errors[number] = error

        thread = threading.Thread(target=publish)
        thread.start()
        return thread


def test_what_comes_meanwhile_goes_together_and_is_kept_in_its_order(stage: Stage) -> None:
    publishers = Publishers(stage, "first", list(range(10)))
    assert [len(call) for call in stage.calls] == [1, 10]
    assert [ack.offset for _, ack in sorted(publishers.acks.items())] == list(range(1, 12))
    assert [data["was"] for data in stage.kept()[1:]] == list(range(10))


def test_a_processor_gets_no_more_events_at_a_time_than_it_takes(stage: Stage) -> None:
    events = [{"channel": "room", "type": "t", "data": "good"}] * 600
    Publishers(stage, "first", [json.dumps({"events": events}).encode()] * 3)
    assert [len(call) for call in stage.calls] == [1, 600, 600, 600]


def test_nothing_that_was_not_judged_is_kept_when_a_turn_is_broken_off(stage: Stage) -> None:
    publishers = Publishers(stage, "first", ["good", "break off", "good"])
    assert stage.kept() == ["first"]
    assert len(publishers.errors) == 3
    assert sum(isinstance(error, GreenletExit) for error in publishers.errors.values()) == 1
    assert sum(isinstance(error, GatewayError) for error in publishers.errors.values()) == 2
    assert stage.publish("good").offset == 2


def test_a_call_that_is_finished_is_asked_nothing_more(stage: Stage) -> None:
    gateway = stage.engine.gateway
    call = _core.ProcessCall(gateway, [gateway.prepare("demo", "room", b'{"type":"t","data":1}')])
    call.judge([replace(2)])
    for more in (call.events, lambda: call.judge([ACCEPT]), lambda: call.fail("internal_error", "")):
        with pytest.raises(ValueError, match="finished"):
            more()
