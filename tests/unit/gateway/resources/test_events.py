from collections.abc import Callable
from typing import Any

import pytest
from falcon import testing

from polyglot_gateway.realtime.event_stream import RETRY_MILLISECONDS
from polyglot_gateway.realtime.hub import Hub

ROOM = "/apps/demo/channels/room:1"
EVENTS = f"{ROOM}/events"


def publish(client: testing.TestClient, data: Any, room: str = ROOM) -> Any:
    return client.simulate_post(f"{room}/publish", json={"type": "t", "data": data}).json


def test_an_event_arrives_with_its_position(client: testing.TestClient, open_reply: Callable[..., Any]) -> None:
    reply = open_reply(EVENTS)
    assert reply.status == "200 OK"
    assert reply.headers["content-type"] == "text/event-stream"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-accel-buffering"] == "no"
    assert "content-length" not in reply.headers
    assert "x-request-id" in reply.headers
    epoch = client.simulate_get(ROOM).json["epoch"]
    assert reply.block() == f"retry: 2000\nid: {epoch}:0\n\n"
    ack = publish(client, {"text": "Hello"})
    envelope = client.simulate_get(f"{ROOM}/history").text.partition('"events":[')[2].partition("]")[0]
    assert reply.block() == f"id: {ack['epoch']}:1\ndata: {envelope}\n\n"


def test_a_channel_with_a_slash_can_be_followed(client: testing.TestClient, open_reply: Callable[..., Any]) -> None:
    reply = open_reply("/apps/demo/channels/a%2Fb/events")
    reply.block()
    publish(client, 1, "/apps/demo/channels/a/b")
    assert '"channel":"a/b"' in reply.block()


@pytest.mark.parametrize("way", ["header", "since", "offset"])
def test_a_reader_resumes_where_it_stopped(
    client: testing.TestClient, open_reply: Callable[..., Any], way: str
) -> None:
    epoch = [publish(client, number)["epoch"] for number in (1, 2, 3)].pop()
    if way == "header":
        reply = open_reply(EVENTS, "since=0", Last_Event_ID=f"{epoch}:1")  # the header goes first
    else:
        reply = open_reply(EVENTS, f"since={epoch}:1" if way == "since" else "since=1")
    assert reply.block() == f"retry: 2000\nid: {epoch}:1\n\n"
    blocks = reply.block().split("\n\n")[:-1]
    assert [block.partition("\n")[0] for block in blocks] == [f"id: {epoch}:2", f"id: {epoch}:3"]


@pytest.mark.parametrize("value", ["x", "-1", "abc:1", "0123456789abcdef:", ":1", ""])
def test_a_malformed_position_is_refused(client: testing.TestClient, value: str) -> None:
    replies = [client.simulate_get(EVENTS, query_string=f"since={value}")]
    if value:
        replies.append(client.simulate_get(EVENTS, headers={"Last-Event-ID": value}))
    for reply in replies:
        assert (reply.status_code, reply.json["code"]) == (400, "invalid_parameter")


def test_head_opens_no_stream(client: testing.TestClient, hub: Hub) -> None:
    reply = client.simulate_head(EVENTS)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/event-stream"
    assert hub.count() == 0


def test_a_reader_that_goes_away_is_forgotten(open_reply: Callable[..., Any], hub: Hub) -> None:
    read, unread = open_reply(EVENTS), open_reply(EVENTS)
    read.block()
    assert hub.count() == 2
    read.close()
    unread.close()
    assert hub.count() == 0


def test_a_draining_worker_sends_a_new_reader_back_at_once(client: testing.TestClient, hub: Hub) -> None:
    hub.drain()
    reply = client.simulate_get(EVENTS)
    assert reply.status_code == 200
    assert reply.text == f"retry: {RETRY_MILLISECONDS}\n\n"  # a browser takes an error for final, and this not
