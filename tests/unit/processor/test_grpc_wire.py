import pytest
from polyglot_gateway.processor.proto.processor_pb2 import Event as EventMessage
from polyglot_gateway.processor.proto.processor_pb2 import Verdict as VerdictMessage

from polyglot_gateway.processor.base import ACCEPT, Verdict, reject, replace
from polyglot_gateway.processor.grpc_wire import event_of, verdict_message


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
