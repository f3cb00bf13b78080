import base64

import pytest
from falcon import testing

LIST = "/apps/demo/channels"


def publish(client: testing.TestClient, *channels: str) -> None:
    for channel in channels:
        reply = client.simulate_post(f"/apps/demo/channels/{channel}/publish", json={"type": "t", "data": 1})
        assert reply.status_code == 200


def test_a_channel_says_where_it_stands(client: testing.TestClient) -> None:
    publish(client, "room:1", "room:1")
    body = client.simulate_get(f"{LIST}/room:1").json
    newest = client.simulate_get(f"{LIST}/room:1/history").json["events"][-1]
    assert len(body.pop("epoch")) == 16
    assert body == {
        "app_id": "demo",
        "channel": "room:1",
        "first_offset": 1,
        "last_offset": 2,
        "count": 2,
        "last_published": newest["meta"]["ts"],
    }


def test_a_channel_that_never_was_stands_at_the_beginning(client: testing.TestClient) -> None:
    body = client.simulate_get(f"{LIST}/never").json
    assert (body["first_offset"], body["last_offset"], body["count"], body["last_published"]) == (1, 0, 0, None)


def test_a_channel_with_a_slash_is_found(client: testing.TestClient) -> None:
    publish(client, "a%2Fhistory")
    assert client.simulate_get(f"{LIST}/a%2Fhistory").json["channel"] == "a/history"


def test_channels_are_listed_by_name(client: testing.TestClient) -> None:
    publish(client, "c", "a", "b/1")
    body = client.simulate_get(LIST).json
    assert body["app_id"] == "demo"
    assert [channel["channel"] for channel in body["channels"]] == ["a", "b/1", "c"]
    assert body["next"] is None
    info = client.simulate_get(f"{LIST}/a").json
    assert {"app_id": "demo", **body["channels"][0]} == info


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6])
def test_pages_cover_all_channels_once(client: testing.TestClient, limit: int) -> None:
    names = ["a", "b", "c/d", "e@f", "g"]
    publish(client, *names)
    seen: list[str] = []
    query = f"limit={limit}"
    while True:
        body = client.simulate_get(LIST, query_string=query).json
        assert 0 < len(body["channels"]) <= limit
        seen += [channel["channel"] for channel in body["channels"]]
        if body["next"] is None:
            break
        query = f"limit={limit}&cursor={body['next']}"
    assert seen == names


def test_an_app_sees_only_its_own(client: testing.TestClient, stranger: testing.TestClient) -> None:
    publish(client, "a")
    reply = stranger.simulate_get("/apps/other/channels", headers={"X-API-Key": "other-key"})
    assert reply.json == {"app_id": "other", "channels": [], "next": None}


@pytest.mark.parametrize("cursor", ["", "*", "%FF", "a", base64.urlsafe_b64encode(b"a b").decode(), "_w"])
def test_a_cursor_of_ones_own_making_is_refused(client: testing.TestClient, cursor: str) -> None:
    reply = client.simulate_get(LIST, query_string=f"cursor={cursor}")
    assert (reply.status_code, reply.json["code"]) == (400, "invalid_parameter")
    assert "cursor" in reply.json["error"]


@pytest.mark.parametrize("limit", ["0", "1001", "all"])
def test_a_wrong_limit_is_refused(client: testing.TestClient, limit: str) -> None:
    assert client.simulate_get(LIST, query_string=f"limit={limit}").json["code"] == "invalid_parameter"
