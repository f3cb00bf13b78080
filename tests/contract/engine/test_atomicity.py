"""Atomicity: an event is kept whole or not at all, and of a batch each event is on its own."""

import json

import pytest

from polyglot_gateway.errors import (
    InvalidApp,
    InvalidChannel,
    InvalidEvent,
    InvalidJson,
    InvalidParameter,
    PayloadTooLarge,
    RequestError,
)

GOOD = b'{"type":"message","data":1}'
LARGEST = 65_536
REFUSED = {
    "not JSON": (b"{", InvalidJson),
    "nothing": (b"", InvalidJson),
    "not UTF-8": (b'{"type":"message","data":"\xff"}', InvalidJson),
    "lone surrogate": (b'{"type":"message","data":"\\ud800"}', InvalidJson),
    "byte order mark": (b"\xef\xbb\xbf" + GOOD, InvalidJson),
    "two values": (GOOD + GOOD, InvalidJson),
    "NaN": (b'{"type":"message","data":NaN}', InvalidJson),
    "too deep": (b'{"type":"message","data":' + b"[" * 64 + b"]" * 64 + b"}", InvalidJson),
    "an array": (b"[]", InvalidEvent),
    "no type": (b'{"data":1}', InvalidEvent),
    "no data": (b'{"type":"message"}', InvalidEvent),
    "type is no text": (b'{"type":1,"data":1}', InvalidEvent),
    "type is empty": (b'{"type":"","data":1}', InvalidEvent),
    "type twice": (b'{"type":"a","type":"b","data":1}', InvalidEvent),
    "unknown member": (b'{"type":"message","data":1,"extra":2}', InvalidEvent),
    "too large": (b'{"type":"message","data":"' + b"x" * LARGEST + b'"}', PayloadTooLarge),
}


def assert_no_trace(engine, other):
    for opener in (engine, other):
        assert opener.channels("demo") == []
        assert json.loads(opener.history("demo", "room"))["count"] == 0
        assert opener.channel("demo", "room").last_offset == 0


@pytest.mark.parametrize(("body", "error"), REFUSED.values(), ids=REFUSED)
def test_a_refused_event_leaves_no_trace(engine, other, body, error):
    with pytest.raises(error) as raised:
        engine.publish("demo", "room", body)
    assert isinstance(raised.value, RequestError)
    assert raised.value.message
    assert_no_trace(engine, other)
    assert engine.publish("demo", "room", GOOD).offset == 1


@pytest.mark.parametrize(
    ("app", "channel", "error"),
    [
        ("", "room", InvalidApp),
        ("a" * 65, "room", InvalidApp),
        ("no spaces", "room", InvalidApp),
        ("demo", "", InvalidChannel),
        ("demo", "c" * 201, InvalidChannel),
        ("demo", "no spaces", InvalidChannel),
        ("demo", "pat*ern", InvalidChannel),
        ("demo", "raum-ä", InvalidChannel),
    ],
)
def test_wrong_names_are_refused_everywhere(engine, app, channel, error):
    calls = (
        lambda: engine.publish(app, channel, GOOD),
        lambda: engine.history(app, channel),
        lambda: engine.read(app, channel, 0),
        lambda: engine.forget(app, channel),
        lambda: engine.channel(app, channel),
    )
    for call in calls:
        with pytest.raises(error):
            call()
    if error is InvalidApp:
        with pytest.raises(error):
            engine.publish_batch(app, b'{"events":[{"channel":"room","type":"a","data":1}]}')
        with pytest.raises(error):
            engine.broadcast(app, b'{"channels":["room"],"type":"a","data":1}')


def test_the_longest_names_are_taken(engine, other):
    app, channel = "A-z_0" + "9" * 59, "aZ09_-=@,.;:~/" + "c" * 186
    assert engine.publish(app, channel, GOOD).offset == 1
    assert [info.channel for info in other.channels(app)] == [channel]
    assert other.read(app, channel, 0).offset == 1


def test_the_largest_event_is_kept_whole(engine, other):
    text = "x" * (LARGEST - len(b'{"type":"message","data":""}'))
    body = json.dumps({"type": "message", "data": text}, separators=(",", ":")).encode()
    assert len(body) == LARGEST
    engine.publish("demo", "room", body)
    assert json.loads(other.read("demo", "room", 0).events[0][1])["data"] == text


@pytest.mark.parametrize("ndjson", [False, True])
def test_of_a_batch_each_event_is_on_its_own(engine, other, say, ndjson):
    sent = [
        b'{"channel":"one","type":"message","data":1}',
        b'{"channel":"no spaces","type":"message","data":2}',
        b'{"channel":"one","data":3}',
        b'{"channel":"two","type":"message","data":"' + b"x" * LARGEST + b'"}',
        b'{"channel":"two","type":"message","data":5}',
        b'{"channel":"one","type":"message","data":6}',
    ]
    body = b"\n".join(sent) if ndjson else b'{"events":[' + b",".join(sent) + b"]}"
    results = json.loads(engine.publish_batch("demo", body, ndjson))["results"]
    assert [result["channel"] for result in results] == ["one", "no spaces", "one", "two", "two", "one"]
    codes = [None, "invalid_channel", "invalid_event", "payload_too_large", None, None]
    assert [result.get("code") for result in results] == codes
    assert [result.get("status", 200) for result in results] == [200, 400, 400, 413, 200, 200]
    assert all(result["error"] for result in results if "code" in result)
    assert [result["offset"] for result in results if "offset" in result] == [1, 1, 2]
    assert (say.kept(other, "one"), say.kept(other, "two")) == ([1, 6], [5])
    assert [info.channel for info in other.channels("demo")] == ["one", "two"]


def test_a_line_that_is_no_json_is_refused_alone(engine, other, say):
    body = b'{"channel":"one","type":"a","data":1}\n{"chan\r\n\n{"channel":"one","type":"a","data":2}\r\n'
    results = json.loads(engine.publish_batch("demo", body, ndjson=True))["results"]
    assert [result.get("code") for result in results] == [None, "invalid_json", None]
    assert say.kept(other, "one") == [1, 2]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", InvalidJson),
        (b'{"events":[{"channel":"room","type":"a","data":1}}', InvalidJson),
        (b"[]", InvalidEvent),
        (b'{"events":[]}', InvalidEvent),
        (b'{"events":{}}', InvalidEvent),
        (b'{"events":[' + b",".join([b'{"channel":"room","type":"a","data":1}'] * 1001) + b"]}", InvalidEvent),
    ],
)
def test_a_batch_refused_as_a_whole_leaves_no_trace(engine, other, body, error):
    with pytest.raises(error):
        engine.publish_batch("demo", body)
    assert_no_trace(engine, other)


def test_the_largest_batch_is_taken(engine):
    body = b'{"events":[' + b",".join([b'{"channel":"room","type":"a","data":1}'] * 1000) + b"]}"
    results = json.loads(engine.publish_batch("demo", body))["results"]
    assert [result["offset"] for result in results] == list(range(1, 1001))


def test_a_broadcast_reaches_each_channel_or_says_why_not(engine, other, say):
    body = b'{"channels":["one","no spaces","two"],"type":"message","data":{"n":1}}'
    results = json.loads(engine.broadcast("demo", body))["results"]
    assert [result.get("code") for result in results] == [None, "invalid_channel", None]
    assert results[0]["id"] != results[2]["id"]
    assert say.kept(other, "one") == say.kept(other, "two") == [{"n": 1}]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"channels":["room"],"type":"a","data":1', InvalidJson),
        (b'{"channels":[],"type":"a","data":1}', InvalidEvent),
        (b'{"channels":["room"],"type":"a"}', InvalidEvent),
        (b'{"channels":"room","type":"a","data":1}', InvalidEvent),
        (b'{"channels":[' + b",".join(b'"c%d"' % n for n in range(101)) + b'],"type":"a","data":1}', InvalidEvent),
    ],
)
def test_a_broadcast_refused_as_a_whole_leaves_no_trace(engine, other, body, error):
    with pytest.raises(error):
        engine.broadcast("demo", body)
    assert_no_trace(engine, other)


def test_too_long_an_idempotency_key_leaves_no_trace(engine, other):
    calls = (
        lambda key: engine.publish("demo", "room", GOOD, key),
        lambda key: engine.publish_batch("demo", b'{"channel":"room","type":"a","data":1}', True, key),
        lambda key: engine.broadcast("demo", b'{"channels":["room"],"type":"a","data":1}', key),
    )
    for call in calls:
        with pytest.raises(InvalidParameter):
            call("k" * 256)
        with pytest.raises(InvalidParameter):
            call("ä" * 128)
    assert_no_trace(engine, other)
    assert engine.publish("demo", "room", GOOD, "k" * 255).offset == 1
