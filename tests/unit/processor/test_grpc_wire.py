import pytest
from polyglot_gateway.processor.proto.processor_pb2 import Event as EventMessage
from polyglot_gateway.processor.proto.processor_pb2 import Verdict as VerdictMessage
from polyglot_gateway.processor.proto.processor_pb2 import Verdicts

from polyglot_gateway.processor.base import ACCEPT, Verdict, reject, replace
from polyglot_gateway.processor.grpc_wire import read_events, read_verdicts, write_events, write_verdicts

VERDICTS = [ACCEPT, replace(b"1.10"), reject("“no”")]


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
    assert read_events([message]) == [expected]


def test_events_are_written_as_they_are_read(event):
    events = [event(b'{"n":1.10}'), event(b"2", 2)._replace(traceparent=f"00-{'a' * 32}-{'b' * 16}-01")]
    assert read_events(write_events(events).events) == events


@pytest.mark.parametrize(
    ("verdict", "members"),
    [
        (ACCEPT, {"kind": VerdictMessage.ACCEPT}),
        (Verdict("accept", data=b"1", reason="none"), {"kind": VerdictMessage.ACCEPT}),
        (Verdict("replace", data=b"1.10", reason="none"), {"kind": VerdictMessage.REPLACE, "data": b"1.10"}),
        (Verdict("reject", data=b"1", reason="“no”"), {"kind": VerdictMessage.REJECT, "reason": "“no”"}),
    ],
)
def test_a_verdict_is_written_with_what_its_kind_has(event, verdict, members):
    assert write_verdicts([event()], [verdict]) == Verdicts(verdicts=[VerdictMessage(id="evt_1", **members)])


def test_verdicts_are_read_as_they_were_written(event):
    written = write_verdicts([event(number=n) for n in range(3)], VERDICTS)
    assert read_verdicts(written) == (["evt_0", "evt_1", "evt_2"], VERDICTS)


@pytest.mark.parametrize(("kind", "verdict"), list(enumerate(VERDICTS, VerdictMessage.ACCEPT)))
def test_of_a_verdict_counts_what_its_kind_has(kind, verdict):
    message = VerdictMessage(id="evt_1", kind=kind, data=b"1.10", reason="“no”")
    assert read_verdicts(Verdicts(verdicts=[message])) == (["evt_1"], [verdict])


@pytest.mark.parametrize("kind", [0, 99])
def test_what_says_nothing_known_is_no_verdict(kind):
    with pytest.raises(ValueError, match="no verdict"):
        read_verdicts(Verdicts(verdicts=[VerdictMessage(id="evt_1", kind=kind)]))
