import pytest
from polyglot_gateway.processor.proto.processor_pb2 import Event as EventMessage
from polyglot_gateway.processor.proto.processor_pb2 import Verdict as VerdictMessage

from polyglot_gateway.processor.base import ACCEPT, Verdict, reject, replace
from polyglot_gateway.processor.grpc_wire import answer_of, event_message, event_of, verdict_message


def test_an_event_is_read_with_all_that_it_has(event):
    expected = event(b'{"n":1.10}')
    message = EventMessage(
        id="evt_1",
        app_id="demo",
        channel="room:1",
        type="message",
        data=b'{"n":1.10}',
        ts=expected.timestamp,
        user_id="user-1",
        source_ip="::1",
    )
    assert event_of(message) == expected


@pytest.mark.parametrize(
    ("verdict", "members"),
    [
        (ACCEPT, {"kind": VerdictMessage.ACCEPT}),
        (Verdict("accept", data=b"1", reason="none"), {"kind": VerdictMessage.ACCEPT}),
        (replace(b"1.10"), {"kind": VerdictMessage.REPLACE, "data": b"1.10"}),
        (reject("“no”"), {"kind": VerdictMessage.REJECT, "reason": "“no”"}),
    ],
)
def test_a_verdict_is_written_with_what_its_kind_has(event, verdict, members):
    assert verdict_message(event(), verdict) == VerdictMessage(id="evt_1", **members)


def test_an_event_is_written_as_it_is_read(event):
    assert event_of(event_message(event(b'{"n":1.10}'))) == event(b'{"n":1.10}')


@pytest.mark.parametrize("verdict", [ACCEPT, replace(b"1.10"), reject("“no”")])
def test_a_verdict_is_read_as_it_was_written(event, verdict):
    assert answer_of(verdict_message(event(), verdict)) == ("evt_1", *verdict)


@pytest.mark.parametrize("kind", [0, 99])
def test_a_verdict_that_says_nothing_known_has_no_kind(kind):
    assert answer_of(VerdictMessage(id="evt_1", kind=kind)).kind == ""
