"""Phoenix Channels v2 frame by frame: what each message is answered with, and what ends the socket."""

import json
from typing import Any

import pytest
from tests.serving import Gateway
from tests.websocket import Opcode, Refused, WebSocket


@pytest.fixture
def socket(shared_gateway: Gateway) -> WebSocket:
    return WebSocket(shared_gateway.port)


def binary(join_ref: str, ref: str, topic: str, event: str, payload: bytes) -> bytes:
    fields = [field.encode() for field in (join_ref, ref, topic, event)]
    return bytes([0, *map(len, fields)]) + b"".join(fields) + payload


def test_the_frames_of_a_join_an_event_and_a_leave(shared_gateway: Gateway, room: str, socket: WebSocket) -> None:
    epoch = shared_gateway.publish(room, "before")["epoch"]
    socket.send_frame(Opcode.TEXT, b'["7","8","%s","phx_join",{}]' % room.encode())
    response = f'{{"epoch":"{epoch}","offset":1,"recovered":true}}'
    assert socket.text() == f'["7","8","{room}","phx_reply",{{"status":"ok","response":{response}}}]'
    assert socket.text() == f'["7",null,"{room}","presence_state",{{}}]'
    shared_gateway.publish(room, {"a": [1.50, "ü"]})
    stored = shared_gateway.request("GET", f"/apps/demo/channels/{room}/history?since=1").body.decode()
    envelope = stored[stored.index("[") + 1 : stored.rindex("]")]
    assert socket.text() == f'[null,null,"{room}","event",{envelope}]'
    socket.send_frame(Opcode.TEXT, b'["7","9","%s","phx_leave",{}]' % room.encode())
    assert socket.text() == f'["7","9","{room}","phx_reply",{{"status":"ok","response":{{}}}}]'
    assert socket.text() == f'["7",null,"{room}","phx_close",{{}}]'


def test_a_push_is_acknowledged_and_comes_back_as_an_event(
    shared_gateway: Gateway, room: str, socket: WebSocket
) -> None:
    void = socket.join(room)
    assert (void["offset"], void["recovered"]) == (0, True)
    assert socket.next("presence_state", topic=room).payload == {}
    ack = socket.publish(room, {"text": "Hello"})
    assert socket.message() == (None, None, room, "epoch", {"epoch": ack["epoch"]})
    event = socket.message()
    assert event[:4] == (None, None, room, "event")
    assert (event[4]["id"], event[4]["offset"], event[4]["data"]) == (ack["id"], 1, {"text": "Hello"})
    assert shared_gateway.history(room)["events"] == [event[4]]


def test_many_channels_share_a_socket_and_one_that_was_left_is_silent(
    shared_gateway: Gateway, room: str, socket: WebSocket
) -> None:
    left, kept = f"{room}:left", f"{room}:kept"
    for channel in (left, kept):
        shared_gateway.publish(channel, 0)
        socket.join(channel)
        assert socket.next("presence_state", topic=channel).payload == {}
    socket.leave(left)
    assert socket.next("phx_close", topic=left).payload == {}
    for number in range(3):
        shared_gateway.publish(left, number)
        shared_gateway.publish(kept, number)
    messages = [socket.message() for _ in range(3)]
    assert [(message.topic, message.payload["data"]) for message in messages] == [(kept, 0), (kept, 1), (kept, 2)]
    assert socket.refusal(socket.push(left, "publish", {}))[0] == "not_found"


def test_a_second_join_takes_the_place_of_the_first(shared_gateway: Gateway, room: str, socket: WebSocket) -> None:
    shared_gateway.publish(room, 0)
    older = socket.ask_to_join(room)
    assert [socket.message().event for _ in range(2)] == ["phx_reply", "presence_state"]
    newer = socket.ask_to_join(room)
    assert socket.message() == (older, None, room, "phx_close", {})
    assert socket.message()[:2] == (newer, newer)
    assert socket.message()[:4] == (newer, None, room, "presence_state")
    for number in (1, 2):
        shared_gateway.publish(room, number)
    assert [socket.message().payload["data"] for _ in range(2)] == [1, 2]


@pytest.mark.parametrize("refs", ['null,"r"', '"j","r"', r'"\u006a\"","😀"', '"",""'])
def test_refs_come_back_as_they_were_sent(socket: WebSocket, room: str, refs: str) -> None:
    socket.send_frame(Opcode.TEXT, f' [ {refs} , "{room}" , "nothing" , 0 ] '.encode())
    assert socket.text().startswith(f'[{refs},"{room}","phx_reply",{{"status":"error",')


def test_the_heartbeat(socket: WebSocket) -> None:
    socket.send_frame(Opcode.TEXT, b'[null,"1","phoenix","heartbeat",{}]')
    assert socket.text() == '[null,"1","phoenix","phx_reply",{"status":"ok","response":{}}]'
    assert socket.refusal(socket.push("phoenix", "phx_join", {}))[0] == "not_found"


@pytest.mark.parametrize("event", ["phx_leave", "publish", "access_token", "anything"])
def test_a_topic_that_is_not_joined(socket: WebSocket, room: str, event: str) -> None:
    assert socket.refusal(socket.push(room, event, {})) == ("not_found", "This channel is not joined on this socket.")


def test_an_event_that_does_not_exist(socket: WebSocket, room: str) -> None:
    socket.join(room)
    for event in ("shout", "event", "gap", "phx_close", "phx_reply", "presence_state", "heartbeat", ""):
        assert socket.refusal(socket.push(room, event, {}))[0] == "not_found"


@pytest.mark.parametrize("topic", ["", "two words", "ü", "a" * 201, "room:*", 'a"b', "a\n"])
def test_a_topic_that_is_no_channel(shared_gateway: Gateway, socket: WebSocket, topic: str) -> None:
    code, error = socket.refusal(socket.ask_to_join(topic))
    assert code == "invalid_channel"
    assert error
    assert socket.has_nothing_more()


@pytest.mark.parametrize(
    "payload",
    [
        [],
        None,
        "text",
        {"since": -1},
        {"since": 1.5},
        {"since": "1"},
        {"since": None},
        {"since": 2**63},
        {"since": 2**64},
        {"since": 1, "epoch": "xyz"},
        {"epoch": 5},
        {"access_token": 5},
        {"presence": "ann"},
        {"presence": {"key": 5}},
        {"presence": {"key": "ann", "meta": []}},
    ],
    ids=json.dumps,
)
def test_parameters_that_a_join_may_not_have(socket: WebSocket, room: str, payload: Any) -> None:
    assert socket.refusal(socket.push(room, "phx_join", payload))[0] == "invalid_parameter"
    assert socket.refusal(socket.push(room, "publish", {}))[0] == "not_found"


def test_a_binary_push(shared_gateway: Gateway, room: str, socket: WebSocket) -> None:
    socket.join(room)
    socket.next("presence_state", topic=room)
    body = b'{"type":"message","data":{"pi": 3.140}}'
    socket.send_frame(Opcode.BINARY, binary("j", "r", room, "publish", body))
    reply = socket.next("phx_reply")
    assert (reply[:3], reply.payload["status"]) == (("j", "r", room), "ok")
    assert reply.payload["response"]["offset"] == 1
    assert socket.next("event", topic=room).payload["data"] == {"pi": 3.14}
    stored = shared_gateway.request("GET", f"/apps/demo/channels/{room}/history").body
    assert b'"data":{"pi": 3.140}' in stored
    for event in ("phx_join", "access_token"):
        socket.send_frame(Opcode.BINARY, binary("", "r", room, event, b"{}"))
        reply = socket.next("phx_reply")
        assert (reply[:2], reply.payload["status"]) == ((None, "r"), "error")


MALFORMED = {
    "no JSON": b"hello",
    "cut off": b'["1","1","a","phx_join",{}',
    "no array": b'{"topic":"a"}',
    "four elements": b'["1","1","a","phx_join"]',
    "six elements": b'["1","1","a","phx_join",{},0]',
    "a number as ref": b'["1",1,"a","phx_join",{}]',
    "a number as topic": b'["1","1",1,"phx_join",{}]',
    "null as event": b'["1","1","a",null,{}]',
    "a long ref": b'["1","%s","a","phx_join",{}]' % (b"1" * 256),
    "half of a surrogate pair": rb'["1","1","a","phx_join",{"a":"\ud800"}]',
    "too deep": b'["1","1","a","publish",%s%s]' % (b"[" * 100, b"]" * 100),
    "nothing": b"",
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_phoenix_message_ends_the_socket(socket: WebSocket, text: bytes) -> None:
    socket.send_frame(Opcode.TEXT, text)
    code, reason = socket.end()
    assert code == 1007
    assert reason


@pytest.mark.parametrize("message", [b"", b"\x01\0\0\0\0", b"\0\xff\0\0\0x", binary("", "", "ü", "a", b"")[:-2]])
def test_what_is_no_binary_message_ends_the_socket(socket: WebSocket, message: bytes) -> None:
    socket.send_frame(Opcode.BINARY, message)
    assert socket.end()[0] == 1007


def test_the_reason_says_where_a_message_is_wrong(socket: WebSocket) -> None:
    socket.send_frame(Opcode.TEXT, b'["1","1","a","phx_join",{"a":tru}]')
    assert socket.end()[1] == "Byte 32: expected 'true', found '}'."


def test_frames(socket: WebSocket) -> None:
    """Fragments with control frames in between, as the RFC allows them; all that it forbids has unit tests."""
    socket.send_frame(Opcode.TEXT, b'[null,"1","phoe', fin=False)
    socket.send_frame(Opcode.PING, b"are you there")
    socket.send_frame(Opcode.PONG, b"never asked for")
    socket.send_frame(Opcode.CONTINUATION, b'nix","heartbeat",{}]')
    assert socket.frame() == (Opcode.PONG, b"are you there")
    assert socket.message()[:2] == (None, "1")
    socket.send_frame(Opcode.CLOSE, (3001).to_bytes(2) + b"bye")
    assert socket.end() == (3001, "")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x81\x02{}", 1002),  # not masked
        (b"\xc1\x80\0\0\0\0", 1002),  # a reserved bit
        (b"\x83\x80\0\0\0\0", 1002),  # an opcode that does not exist
        (b"\x80\x80\0\0\0\0", 1002),  # goes on with nothing
        (b"\x81\xff\0\0\0\1\0\0\0\0\0\0\0\0", 1009),  # claims 4 GiB
        (b"\x81\x81\0\0\0\0\xff", 1007),  # no UTF-8
    ],
)
def test_frames_that_end_the_socket(socket: WebSocket, sent: bytes, code: int) -> None:
    socket.send(sent)
    assert socket.end()[0] == code


TOO_LARGE = b'{"type":"a","data":"%s"}' % (b"x" * 65536)
REFUSED_BODIES = {
    "not an object": b"[]",
    "empty": b"{}",
    "no data": b'{"type":"a"}',
    "no type": b'{"data":1}',
    "a number as type": b'{"type":1,"data":1}',
    "an empty type": b'{"type":"","data":1}',
    "an unknown member": b'{"type":"a","data":1,"more":1}',
    "the same member twice": b'{"type":"a","data":1,"data":2}',
    "too large": TOO_LARGE,
}
BROKEN_BODIES = {
    "no value": b'{"type":"a","data":}',
    "cut off": b'{"type":"a","data":[1,2',
    "a comma too many": b'{"type":"a","data":1,}',
    "no UTF-8": b'{"type":"a","data":"\xff"}',
    "half of a surrogate pair": rb'{"type":"a","data":"\udc00"}',
    "something behind it": b'{"type":"a","data":1} x',
    "nothing": b"",
}


@pytest.mark.parametrize("body", (REFUSED_BODIES | BROKEN_BODIES).values(), ids=REFUSED_BODIES | BROKEN_BODIES)
def test_a_push_is_refused_as_the_same_body_over_http_is(
    shared_gateway: Gateway, room: str, socket: WebSocket, body: bytes
) -> None:
    problem = json.loads(shared_gateway.request("POST", f"/apps/demo/channels/{room}/publish", body).body)
    said = (problem["code"], problem["error"])
    socket.join(room)
    frames = [(Opcode.BINARY, binary("", "r", room, "publish", body))]
    if body in REFUSED_BODIES.values():
        frames.append((Opcode.TEXT, b'[null,"r","%s","publish",%s]' % (room.encode(), body)))
    for opcode, frame in frames:
        socket.send_frame(opcode, frame)
        refusal = socket.refusal("r")
        if body == TOO_LARGE:  # over HTTP it was not even read
            assert (refusal[0], said[0]) == ("payload_too_large", "payload_too_large")
        else:
            assert refusal == said
    assert shared_gateway.history(room)["count"] == 0
    assert socket.publish(room, "goes on")["offset"] == 1


REFUSED_REQUESTS = {
    "the older protocol": ({"vsn": "1.0.0"}, {}, "invalid_parameter"),
    "no app": ({"app": ""}, {}, "invalid_parameter"),
    "an app that cannot be": ({"app": "a b"}, {}, "invalid_app"),
    "no upgrade": ({}, {"Connection": "close"}, "invalid_request"),
    "another protocol": ({}, {"Upgrade": "h2c"}, "invalid_request"),
    "another version": ({}, {"Sec-WebSocket-Version": "8"}, "invalid_request"),
    "a short key": ({}, {"Sec-WebSocket-Key": "aGVsbG8="}, "invalid_request"),
}


@pytest.mark.parametrize(("query", "headers", "code"), REFUSED_REQUESTS.values(), ids=REFUSED_REQUESTS)
def test_a_refused_connect(shared_gateway: Gateway, query: Any, headers: dict[str, str], code: str) -> None:
    with pytest.raises(Refused) as refused:
        WebSocket(shared_gateway.port, headers=headers, **query)
    answer = refused.value.args[0]
    assert answer.field("content-type") == "application/problem+json"
    assert (answer.json()["code"], answer.json()["status"]) == (code, answer.status)
    if code == "invalid_parameter" and "vsn" in query:
        assert answer.json()["error"] == 'vsn is "1.0.0"; allowed is 2.0.0, of Phoenix Channels.'
