import hashlib
from collections.abc import Callable

import pytest
from falcon import testing

from polyglot_gateway._core import Access, ChannelRule, Rules
from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.gateway.create_app import WsgiApp

HISTORY = "/apps/demo/channels/room:1/history"
PUBLISH = "/apps/demo/channels/room:1/publish"
EVENT = {"type": "t", "data": None}


def test_a_request_without_a_key_is_unauthorized(stranger: testing.TestClient) -> None:
    reply = stranger.simulate_get(HISTORY)
    assert reply.status_code == 401
    assert reply.json["code"] == "unauthorized"
    assert reply.headers["www-authenticate"].startswith("ApiKey ")


@pytest.mark.parametrize("key", ["wrong", "other-key", "FULL-KEY", "valid_key_demo", "ключ".encode().decode("latin-1")])
def test_a_key_that_is_not_of_this_app_is_unauthorized(stranger: testing.TestClient, key: str) -> None:
    assert stranger.simulate_get(HISTORY, headers={"X-API-Key": key}).status_code == 401


def test_an_app_that_does_not_exist_cannot_be_told_from_a_wrong_key(stranger: testing.TestClient) -> None:
    known = stranger.simulate_get(HISTORY, headers={"X-API-Key": "wrong", "X-Request-ID": "1"})
    unknown = stranger.simulate_get(
        "/apps/nobody/channels/room:1/history", headers={"X-API-Key": "wrong", "X-Request-ID": "1"}
    )
    assert known.status_code == unknown.status_code == 401
    assert known.content == unknown.content


def test_a_key_without_the_scope_is_forbidden_and_the_scope_is_named(stranger: testing.TestClient) -> None:
    reader, writer = {"X-API-Key": "reader-key"}, {"X-API-Key": "writer-key"}
    refused = [
        (stranger.simulate_post(PUBLISH, headers=reader, json=EVENT), "publish"),
        (stranger.simulate_post("/apps/demo/publish", headers=reader, json={}), "publish"),
        (stranger.simulate_post("/apps/demo/broadcast", headers=reader, json={}), "publish"),
        (stranger.simulate_get(HISTORY, headers=writer), "history"),
        (stranger.simulate_get("/apps/demo/channels", headers=writer), "history"),
        (stranger.simulate_get("/apps/demo/channels/room:1", headers=writer), "history"),
        (stranger.simulate_get("/apps/demo/channels/room:1/events", headers=writer), "subscribe"),
        (stranger.simulate_delete(HISTORY, headers=reader), "admin"),
    ]
    for reply, scope in refused:
        assert reply.status_code == 403
        assert reply.json["code"] == "forbidden"
        assert scope in reply.json["error"]


def test_a_public_channel_is_read_without_a_key_but_not_written(stranger: testing.TestClient) -> None:
    assert stranger.simulate_get("/apps/demo/channels/public:1/history").status_code == 200
    assert stranger.simulate_get("/apps/demo/channels/public:1").status_code == 200
    assert stranger.simulate_head("/apps/demo/channels/public:1/events").status_code == 200
    assert stranger.simulate_post("/apps/demo/channels/public:1/publish", json=EVENT).status_code == 401
    assert stranger.simulate_delete("/apps/demo/channels/public:1/history").status_code == 401


@pytest.mark.parametrize("name", ["api_key", "key", "X-API-Key"])
def test_a_key_in_the_url_does_not_count(stranger: testing.TestClient, name: str) -> None:
    assert stranger.simulate_get(HISTORY, query_string=f"{name}=full-key").status_code == 401


def test_only_events_takes_the_parameter_key(stranger: testing.TestClient) -> None:
    path = "/apps/demo/channels/room:1/events"
    assert stranger.simulate_head(path, query_string="key=reader-key").status_code == 200
    assert stranger.simulate_head(path, query_string="api_key=reader-key").status_code == 401
    assert stranger.simulate_head(path, query_string="key=wrong").status_code == 401
    assert (
        stranger.simulate_head(path, query_string="key=reader-key", headers={"X-API-Key": "wrong"}).status_code == 401
    )


def test_a_key_is_the_bytes_that_are_sent(make_app: Callable[..., WsgiApp], engine: EmbeddedEngine) -> None:
    access = Access()
    keys = {"clé".encode(): "clé", "clé".encode("latin-1"): "cl\xe9"}
    for key in keys:
        access.add_key("demo", hashlib.sha256(key).hexdigest(), ["history", "subscribe"])
    engine.configure(access, Rules(ChannelRule()))
    client = testing.TestClient(make_app())
    for key in keys:
        sent = {"X-API-Key": key.decode("latin-1")}
        assert client.simulate_get(HISTORY, headers=sent).status_code == 200
    events = "/apps/demo/channels/room:1/events"
    assert client.simulate_head(events, query_string="key=cl%C3%A9").status_code == 200


@pytest.mark.parametrize("path", ["/apps/demo/channels/a%ff/history", "/apps/a%ff/channels"])
def test_a_name_that_is_not_utf_8_is_said_to_be_that(client: testing.TestClient, path: str) -> None:
    assert "not UTF-8" in client.simulate_get(path).json["error"]
    assert "UTF-8" not in client.simulate_get(path.replace("%ff", "%C3%BC")).json["error"]


def test_a_bearer_token_alone_is_answered_with_what_to_send(stranger: testing.TestClient) -> None:
    reply = stranger.simulate_get(HISTORY, headers={"Authorization": "Bearer abc.def.ghi"})
    assert reply.status_code == 401
    assert "X-API-Key" in reply.json["error"]
    both = {"Authorization": "Bearer abc", "X-API-Key": "full-key"}
    assert stranger.simulate_get(HISTORY, headers=both).status_code == 200


@pytest.mark.parametrize("name", ["a.b", "ü", "x" * 65])
def test_a_malformed_app_id_is_refused(client: testing.TestClient, name: str) -> None:
    reply = client.simulate_get(f"/apps/{name}/channels")
    assert (reply.status_code, reply.json["code"]) == (400, "invalid_app")


@pytest.mark.parametrize("channel", ["a b", "a*", "ü", "%FF", "a%C3%28", "%00", "x" * 201, ""])
@pytest.mark.parametrize("action", ["publish", "history", "events"])
def test_a_malformed_channel_name_is_refused(client: testing.TestClient, channel: str, action: str) -> None:
    method = "POST" if action == "publish" else "GET"
    reply = client.simulate_request(method, f"/apps/demo/channels/{channel}/{action}", json=EVENT)
    assert (reply.status_code, reply.json["code"]) == (400, "invalid_channel")
