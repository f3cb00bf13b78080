import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from polyglot_gateway.processor.proto.processor_pb2 import Event as EventMessage
from polyglot_gateway.processor.proto.processor_pb2 import Events, Verdicts
from polyglot_gateway.processor.proto.processor_pb2 import Verdict as VerdictMessage

from polyglot_gateway._core import read_verdicts, write_events
from polyglot_gateway.processor.base import ACCEPT, Event, Verdict, reject, replace
from polyglot_gateway.processor.grpc_wire import read_events, write_verdicts

VERDICTS = [ACCEPT, replace(b"1.10"), reject("“no”")]

TEXT = st.text(st.characters(codec="utf-8"))
DATA = st.binary() | st.integers(100, 70_000).map(bytes)
EVENTS = st.lists(st.builds(Event, TEXT, TEXT, TEXT, TEXT, DATA, TEXT, TEXT, TEXT, TEXT), max_size=4)
VERDICT_MESSAGES = st.lists(
    st.builds(VerdictMessage, id=TEXT, kind=st.integers(1, 3), data=DATA, reason=TEXT), max_size=4
)


def read_as_the_service_does(message):
    return read_events(Events.FromString(message).events)


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
    assert write_events([expected]) == Events(events=[message]).SerializeToString()


@given(EVENTS)
def test_events_are_written_as_protobuf_writes_them(events):
    written = write_events(events)
    assert read_as_the_service_does(written) == events
    assert Events.FromString(written).SerializeToString(deterministic=True) == written


@pytest.mark.parametrize(
    "wrong", [("evt_1", "demo"), tuple("evt_text"), (b"evt_1", *tuple("1234"), "now", "", "", ""), None, "evt_text"]
)
def test_what_is_no_event_is_not_written(wrong):
    with pytest.raises(TypeError):
        write_events([wrong])


def test_text_that_is_no_unicode_is_not_written(event):
    with pytest.raises(ValueError, match="surrogates"):
        write_events([event()._replace(type="\ud800")])


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
    assert read_verdicts(written.SerializeToString()) == (["evt_0", "evt_1", "evt_2"], VERDICTS)


@given(VERDICT_MESSAGES)
def test_verdicts_are_read_as_protobuf_reads_them(messages):
    ids, verdicts = read_verdicts(Verdicts(verdicts=messages).SerializeToString())
    assert ids == [message.id for message in messages]
    expected = [(ACCEPT, replace(m.data), reject(m.reason))[m.kind - VerdictMessage.ACCEPT] for m in messages]
    assert verdicts == expected
    assert all(isinstance(verdict, Verdict) for verdict in verdicts)


@given(VERDICT_MESSAGES, st.data())
def test_what_protobuf_does_not_read_is_no_verdict(messages, data):
    whole = Verdicts(verdicts=messages).SerializeToString()
    bad = bytearray(whole + data.draw(st.binary(min_size=1, max_size=8)))
    bad[data.draw(st.integers(0, len(bad) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = Verdicts.FromString(bytes(bad))
    except DecodeError:
        with pytest.raises(ValueError, match="no verdicts"):
            read_verdicts(bytes(bad))
    else:
        try:
            ids, _ = read_verdicts(bytes(bad))
        except ValueError:
            return  # of no kind that is known, or with what proto3 does not have
        assert ids == [verdict.id for verdict in read.verdicts]


@pytest.mark.parametrize("kind", [0, 99])
def test_what_says_nothing_known_is_no_verdict(kind):
    with pytest.raises(ValueError, match="no verdicts"):
        read_verdicts(Verdicts(verdicts=[VerdictMessage(id="evt_1", kind=kind)]).SerializeToString())
