from typing import Any

import pytest
from falcon import testing

ROOM = "/apps/demo/channels/room:1"
HISTORY = f"{ROOM}/history"


@pytest.fixture
def room(client: testing.TestClient) -> testing.TestClient:
    for number in range(1, 11):
        client.simulate_post(f"{ROOM}/publish", json={"type": "t", "data": number})
    return client


def offsets(reply: Any) -> list[int]:
    return [event["offset"] for event in reply.json["events"]]


def test_the_whole_reply(room: testing.TestClient) -> None:
    reply = room.simulate_get(HISTORY)
    assert reply.headers["content-type"] == "application/json"
    body = reply.json
    assert offsets(reply) == list(range(1, 11))
    assert (body["app_id"], body["channel"], body["count"], body["offset"]) == ("demo", "room:1", 10, 10)
    assert (body["recovered"], body["gap"]) == (True, None)
    assert [event["data"] for event in body["events"]] == list(range(1, 11))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("limit=3", [8, 9, 10]),
        ("limit=3&reverse=true", [10, 9, 8]),
        ("since=7", [8, 9, 10]),
        ("since=2&limit=3", [3, 4, 5]),
        ("since=2&until=4", [3, 4]),
        ("until=2", [1, 2]),
        ("since=2&until=6&limit=2&reverse=1", [6, 5]),
        ("since=10", []),
        ("since=0&reverse=false&limit=1000&unknown=ignored", list(range(1, 11))),
    ],
)
def test_parameters_choose_the_events(room: testing.TestClient, query: str, found: list[int]) -> None:
    assert offsets(room.simulate_get(HISTORY, query_string=query)) == found


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=",
        "since=-1",
        "since=1.0",
        f"until={2**64}",
        "reverse=maybe",
        "epoch=12",
        "epoch=",
        "limit=1&limit=2",
        "since=1&since=1",
    ],
)
def test_a_wrong_parameter_is_named(client: testing.TestClient, query: str) -> None:
    reply = client.simulate_get(HISTORY, query_string=query)
    assert (reply.status_code, reply.json["code"]) == (400, "invalid_parameter")
    assert query.partition("=")[0] in reply.json["error"]


def test_what_is_lost_is_said(room: testing.TestClient) -> None:
    epoch = room.simulate_get(ROOM).json["epoch"]
    for number in range(11, 71):
        room.simulate_post(f"{ROOM}/publish", json={"type": "t", "data": number})
    body = room.simulate_get(HISTORY, query_string=f"since=5&epoch={epoch}").json
    assert body["recovered"] is False
    assert body["gap"] == {"from": 6, "to": body["events"][0]["offset"] - 1, "reason": "overwritten"}
    assert room.simulate_get(HISTORY, query_string="since=99").json["gap"]["reason"] == "beyond_end"
    other = room.simulate_get(HISTORY, query_string="since=1&epoch=0123456789abcdef").json
    assert other["gap"]["reason"] == "epoch_changed"


def test_the_past_can_be_forgotten(room: testing.TestClient) -> None:
    before = room.simulate_get(ROOM).json["epoch"]
    reply = room.simulate_delete(HISTORY)
    assert reply.status_code == 200
    assert reply.json == {"app_id": "demo", "channel": "room:1", "epoch": room.simulate_get(ROOM).json["epoch"]}
    assert reply.json["epoch"] != before
    assert room.simulate_get(HISTORY).json["count"] == 0


def test_a_channel_that_never_was_has_an_empty_past(client: testing.TestClient) -> None:
    body = client.simulate_get("/apps/demo/channels/never/history").json
    assert (body["count"], body["events"], body["offset"]) == (0, [], 0)
    assert client.simulate_delete("/apps/demo/channels/never/history").status_code == 200
