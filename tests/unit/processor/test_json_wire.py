import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyglot_gateway._core import check_json
from polyglot_gateway.errors import InvalidEvent, InvalidJson
from polyglot_gateway.processor.base import ACCEPT, Verdict, reject, replace
from polyglot_gateway.processor.json_wire import (
    read_event,
    read_events,
    read_verdicts,
    write_events,
    write_verdict,
    write_verdicts,
)

EVENT = {
    "id": "evt_1",
    "app_id": "demo",
    "channel": "room:1",
    "type": "message",
    "data": 1,
    "meta": {"user_id": "user-1", "ts": "2025-11-17T18:39:56.107549Z", "source_ip": "::1"},
}

ODD = [
    b'{"n": 1.10 ,"text":"\\u00e9\xc3\xa9","n":[ ]}',
    b"123456789012345678901234567890e999",
    b"9" * 10_000,
    b"-0.0",
    b"null",
    b"[" * 64 + b"]" * 64,
]


def without(*names):
    return {name: value for name, value in EVENT.items() if name not in names}


def written(data, body=None):
    """The event with this as its data, byte for byte."""
    return json.dumps(without("data") if body is None else body).encode()[:-1] + b',"data" : ' + data + b" }"


def test_an_event_is_read_with_all_that_it_has(event):
    assert read_event(json.dumps(EVENT).encode()) == event()


@pytest.mark.parametrize("meta", [{}, {"meta": None}, {"meta": {}}, {"meta": {"user_id": None, "ts": None}}])
def test_meta_and_its_members_may_be_missing(meta, event):
    read = read_event(json.dumps(without("meta") | meta).encode())
    assert read == event()._replace(timestamp="", user_id="", source_ip="")


def test_the_trace_is_written_where_there_is_one(event):
    traced = event()._replace(traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    assert read_events(write_events([traced, event()])) == [traced, event()]
    assert b"traceparent" not in write_events([event()])


def test_what_is_not_known_is_ignored(event):
    assert read_event(json.dumps(EVENT | {"offset": 7, "more": {"data": 2}}).encode()) == event()


@pytest.mark.parametrize("data", ODD)
def test_data_is_taken_byte_for_byte(data):
    body = written(data)
    assert read_event(body).data == data
    assert [event.data for event in read_events(b'{"events":[%s , %s]}' % (body, body))] == [data, data]


@pytest.mark.parametrize("data", ODD)
def test_events_are_written_as_they_are_read(event, data):
    events = [event(data, number)._replace(user_id='ü"\\\x7f\x00') for number in range(2)]
    assert read_events(write_events(events)) == events


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ([], "Expected `object`, got `array`"),
        (without("id"), "missing required field `id`"),
        (EVENT | {"app_id": 1}, r"Expected `str`, got `int` - at `\$.app_id`"),
        (EVENT | {"type": None}, r"Expected `str`, got `null` - at `\$.type`"),
        (without("data"), "missing required field `data`"),
        (EVENT | {"meta": []}, r"got `array` - at `\$.meta`"),
        (EVENT | {"meta": {"ts": 1}}, r"got `int` - at `\$.meta.ts`"),
    ],
)
def test_what_is_no_event_is_told(sent, said):
    with pytest.raises(InvalidEvent, match=said):
        read_event(json.dumps(sent).encode())


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ([], "Expected `object`, got `array`"),
        ({}, "missing required field `events`"),
        ({"events": {}}, r"Expected `array`, got `object` - at `\$.events`"),
        ({"events": [EVENT, without("id")]}, r"missing required field `id` - at `\$.events\[1\]`"),
        ({"events": [EVENT, 1]}, r"got `int` - at `\$.events\[1\]`"),
    ],
)
def test_what_is_no_batch_is_told(sent, said):
    with pytest.raises(InvalidEvent, match=said):
        read_events(json.dumps(sent).encode())


@pytest.mark.parametrize(
    ("body", "position"),
    [
        (b"", 0),
        (b"\xff", 0),
        (b"{", 1),
        (b'{"id":}', 6),
        (b'{"\xc3\xa9":1;}', 7),
        (json.dumps(EVENT).encode() + b"{}", len(json.dumps(EVENT))),
        (b'{"more":NaN}', 8),
        (b'{"more":01}', 9),
        (b'{"more":"\xff"}', 9),
        (b'{"more":"\n"}', 9),
        (b'{"id":"\\ud800"}', 7),
        (b'{"more":' + b"[" * 100_000, 71),
    ],
)
def test_what_is_no_json_is_told_with_its_place(body, position):
    with pytest.raises(InvalidJson) as caught:
        read_event(body)
    assert caught.value.position == position


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON, st.binary(max_size=3), st.integers(0, 1000))
def test_what_is_read_is_what_is_strict_json(value, bad, place):
    """A few bytes anywhere in a member that nobody asks for."""
    body = json.dumps({"more": value} | EVENT, ensure_ascii=False).encode("utf-8", "surrogatepass")
    place %= body.index(b', "id"')
    body = body[:place] + bad + body[place:]
    assert outcome(read_event, body) in (outcome(check_json, body), "no event")


def outcome(function, body):
    try:
        function(body)
    except InvalidJson as error:
        return error.position
    except InvalidEvent:
        return "no event"  # said before the end of the body is reached
    return "read"


def test_verdicts_are_written(event):
    assert write_verdict(event(), ACCEPT) == b'{"id":"evt_1","verdict":"accept"}'
    assert write_verdict(event(), replace(b'{"n":1.10}')) == b'{"id":"evt_1","verdict":"replace","data":{"n":1.10}}'
    assert write_verdict(event(), reject("“no”")).decode() == '{"id":"evt_1","verdict":"reject","reason":"“no”"}'
    assert write_verdict(event(), Verdict("accept", b"1", "none")) == write_verdict(event(), ACCEPT)


@pytest.mark.parametrize("data", ODD)
def test_verdicts_are_read_as_they_were_written(event, data):
    verdicts = [ACCEPT, replace(data), reject("“no”\n"), reject("")]
    body = write_verdicts([event(number=number) for number in range(4)], verdicts)
    assert read_verdicts(body) == (["evt_0", "evt_1", "evt_2", "evt_3"], verdicts)
    assert read_verdicts(write_verdicts([], [])) == ([], [])


@pytest.mark.parametrize(
    ("members", "verdict"),
    [
        (b'"verdict":"accept","data":null,"reason":null', ACCEPT),
        (b'"verdict":"accept","data":1,"reason":"no","more":[]', ACCEPT),
        (b'"verdict":"replace","data": 1 ,"reason":"no"', replace(b"1")),
        (b'"verdict":"replace"', replace(b"")),
        (b'"verdict":"reject","data":1', reject("")),
        (b'"verdict":"reject","reason":null', reject("")),
    ],
)
def test_of_a_verdict_counts_what_its_kind_has(members, verdict):
    assert read_verdicts(b'{"verdicts":[{"id":"evt_1",%s}]}' % members) == (["evt_1"], [verdict])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"verdicts":{}}',
        b'{"verdicts":[{"id":"evt_1"}]}',
        b'{"verdicts":[{"id":"evt_1","verdict":"maybe"}]}',
        b'{"verdicts":[{"id":"evt_1","verdict":"replace","data":"\xff"}]}',
        b'{"verdicts":[' + b"[" * 100_000,
    ],
)
def test_what_are_no_verdicts_is_told(body):
    with pytest.raises(ValueError, match="no verdicts"):
        read_verdicts(body)
