"""What becomes of events, and what it takes with it."""

import json

import pytest

from polyglot_gateway.errors import ProcessorUnavailable
from polyglot_gateway.processor.base import ACCEPT, MOST_EVENTS, Verdict


def test_each_event_is_accepted_replaced_or_rejected(processor, event):
    events = [event(), event("echo", b'{"a":1}'), event("reject", b'"because of it"'), event()]
    reason = Verdict("reject", reason="because of it")
    assert processor.process(events) == [ACCEPT, Verdict("replace", b'{"a":1}'), reason, ACCEPT]


def test_a_batch_of_one(processor, event):
    assert processor.process([event("reject", b'""')]) == [Verdict("reject")]


def test_a_batch_of_the_largest_size_keeps_its_order(processor, event):
    events = [event("echo", b"%d" % number) for number in range(MOST_EVENTS)]
    assert processor.process(events) == [Verdict("replace", b"%d" % number) for number in range(MOST_EVENTS)]


def test_the_function_is_told_all_about_an_event(processor, event):
    sent = event("tell", b"1", user_id='ü"\\\x7f', source_ip="2001:db8::1", traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    (verdict,) = processor.process([sent])
    assert json.loads(verdict.data) == [*sent[:4], *sent[5:]]


@pytest.mark.parametrize(
    "data",
    [
        b"1E+999",
        b"-0.0",
        b"123456789012345678901234567890.1234567890",
        b"9" * 10_000,
        b'{"a":1,"a":2, "b" :\t[ ] }',
        '"äöü \U0001f600 \\u00e4 \\ud83d\\ude00 \\/ \\u0000"'.encode(),
        b"[" * 64 + b"]" * 64,
        b"null",
        b'""',
        b'"%s"' % (b"x" * 1_000_000),
    ],
    ids=lambda data: data[:20].decode(errors="replace"),
)
def test_data_survives_byte_for_byte_there_and_back(processor, event, data):
    assert processor.process([event("echo", data), event()]) == [Verdict("replace", data), ACCEPT]


def test_a_reason_survives(processor, event):
    reason = 'no “good” \U0001f600\n\\"'
    assert processor.process([event("reject", json.dumps(reason).encode())]) == [Verdict("reject", reason=reason)]


def test_more_than_a_message_holds_comes_through(processor, event):
    events = [event("echo", b'"%s"' % (b"%d" % (number % 10) * 500_000)) for number in range(16)]
    assert [verdict.data for verdict in processor.process(events)] == [one.data for one in events]


def test_data_may_grow(processor, event):
    verdicts = processor.process([event("larger", b"1000000") for _ in range(10)])
    assert [len(verdict.data) for verdict in verdicts] == [1_000_002] * 10


def test_data_that_is_no_json_is_refused_with_its_event_and_no_other(processor, event):
    first, broken, last = processor.process([event(), event("broken"), event("echo", b"1.10")])
    assert (first, last) == (ACCEPT, Verdict("replace", b"1.10"))
    assert broken.kind == "reject"
    assert broken.reason.startswith("The data that the processor gave is not strict JSON: Byte ")


@pytest.mark.parametrize("what", ["raise", "none", "fewer", "more"])
def test_a_function_that_fails_takes_its_batch_along_and_no_other(processor, event, what):
    with pytest.raises(ProcessorUnavailable, match="processor") as caught:
        processor.process([event(), event(what, b'"424242"')])
    assert "424242" not in caught.value.message
    assert processor.process([event()]) == [ACCEPT]
    assert processor.ready() == []
