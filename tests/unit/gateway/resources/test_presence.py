from collections.abc import Callable

from falcon import testing

PATH = "/apps/demo/channels/room:1/presence"


def test_nobody_is_there_without_sockets(client: testing.TestClient) -> None:
    reply = client.simulate_get(PATH)
    assert reply.headers["content-type"] == "application/json"
    assert reply.json == {"app_id": "demo", "channel": "room:1", "count": 0, "members": {}}


def test_a_channel_with_a_slash_is_found(client: testing.TestClient) -> None:
    assert client.simulate_get("/apps/demo/channels/a%2Fpresence/presence").json["channel"] == "a/presence"


def test_it_needs_the_scope_history(stranger: testing.TestClient, make_token: Callable[..., str]) -> None:
    assert stranger.simulate_get(PATH).status_code == 401
    for scopes, status in (["subscribe", "presence"], 403), (["history"], 200):
        token = make_token(can={"*": scopes})
        assert stranger.simulate_get(PATH, headers={"Authorization": f"Bearer {token}"}).status_code == status


def test_the_channel_is_checked(client: testing.TestClient) -> None:
    assert client.simulate_get("/apps/demo/channels/a%20b/presence").json["code"] == "invalid_channel"


def test_head_has_no_body(client: testing.TestClient) -> None:
    reply = client.simulate_head(PATH)
    assert reply.status_code == 200
    assert reply.content == b""
