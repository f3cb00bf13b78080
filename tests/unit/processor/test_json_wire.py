import json

import pytest

from polyglot_gateway.errors import InvalidEvent, InvalidJson
from polyglot_gateway.processor.base import ACCEPT, reject, replace
from polyglot_gateway.processor.json_wire import parse_event, parse_events, write_verdict, write_verdicts

EVENT = {
    "id": "evt_1",
    "app_id": "demo",
    "channel": "room:1",
    "type": "message",
    "data": 1,
    "meta": {"user_id": "user-1", "ts": "2025-11-17T18:39:56.107549Z", "source_ip": "::1"},
}


def without(*names):
    return {name: value for name, value in EVENT.items() if name not in names}


def test_an_event_is_read_with_all_that_it_has(event):
    assert parse_event(json.dumps(EVENT).encode()) == event()


@pytest.mark.parametrize("meta", [{}, {"meta": None}, {"meta": {}}, {"meta": {"user_id": None, "ts": None}}])
def test_meta_and_its_members_may_be_missing(meta, event):
    read = parse_event(json.dumps(without("meta") | meta).encode())
    assert read == event()._replace(timestamp="", user_id="", source_ip="")


def test_what_is_not_known_is_ignored(event):
    assert parse_event(json.dumps(EVENT | {"offset": 7, "more": {"data": 2}}).encode()) == event()


def test_data_is_taken_byte_for_byte():
    data = b'{"n": 1.10 ,"large":123456789012345678901234567890e999,"text":"\\u00e9\xc3\xa9"}'
    body = json.dumps(without("data")).encode()[:-1] + b',"data" : ' + data + b" }"
    assert parse_event(body).data == data
    assert [event.data for event in parse_events(b'{"events":[%s , %s]}' % (body, body))] == [data, data]


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ([], "event must be an object"),
        (without("id"), "event needs the member id, a string"),
        (EVENT | {"app_id": 1}, "event needs the member app_id, a string"),
        (without("channel"), "event needs the member channel, a string"),
        (EVENT | {"type": None}, "event needs the member type, a string"),
        (EVENT | {"channel": "\ud800"}, "event needs the member channel, a string"),
        (without("data"), "event needs the member data, any JSON"),
        (EVENT | {"meta": []}, "The member meta of event must be an object"),
        (EVENT | {"meta": {"user_id": "\ud800"}}, r"The member meta\.user_id of event must be a string or null"),
        (EVENT | {"meta": {"ts": 1}}, r"The member meta\.ts of event must be a string or null"),
    ],
)
def test_what_is_no_event_is_told(sent, said):
    with pytest.raises(InvalidEvent, match=said):
        parse_event(json.dumps(sent).encode())


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ([], "A batch must be an object"),
        ({}, "A batch needs the member events"),
        ({"events": {}}, "The member events must be an array"),
        ({"events": [EVENT, without("id")]}, r"events\[1\] needs the member id"),
        ({"events": [EVENT, 1]}, r"events\[1\] must be an object"),
    ],
)
def test_what_is_no_batch_is_told(sent, said):
    with pytest.raises(InvalidEvent, match=said):
        parse_events(json.dumps(sent).encode())


def test_what_follows_an_event_or_a_batch_is_no_json():
    for parse, sent in ((parse_event, EVENT), (parse_events, {"events": [EVENT]})):
        with pytest.raises(InvalidJson):
            parse(json.dumps(sent).encode() + b"{}")


def test_verdicts_are_written(event):
    assert json.loads(write_verdict(event(), ACCEPT)) == {"id": "evt_1", "verdict": "accept"}
    written = write_verdict(event(), replace(b'{"n":1.10}'))
    assert written == b'{"id":"evt_1","verdict":"replace","data":{"n":1.10}}'
    rejected = json.loads(write_verdict(event(), reject("“no”")))
    assert rejected == {"id": "evt_1", "verdict": "reject", "reason": "“no”"}


def test_a_batch_of_verdicts_is_in_order(event):
    written = write_verdicts([event(number=1), event(number=2)], [ACCEPT, reject("no")])
    assert [verdict["id"] for verdict in json.loads(written)["verdicts"]] == ["evt_1", "evt_2"]
    assert write_verdicts([], []) == b'{"verdicts":[]}'
