import hashlib
import time
from collections.abc import Callable

import pytest
from falcon import testing

from polyglot_gateway._core import Access, ChannelRule, Grant, Rules
from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.errors import Forbidden
from polyglot_gateway.gateway.create_app import WsgiApp
from polyglot_gateway.gateway.tokens import AuthorizeRequest, Tokens

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


def test_an_empty_channel_is_not_the_whole_app(stranger: testing.TestClient) -> None:
    reply = stranger.simulate_get("/apps/demo/channels//history")
    assert (reply.status_code, reply.json["code"]) == (400, "invalid_channel")


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


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_token_may_do_what_its_scopes_say(stranger: testing.TestClient, make_token: Callable[..., str]) -> None:
    sent = bearer(make_token())
    assert stranger.simulate_post(PUBLISH, headers=sent, json=EVENT).status_code == 200
    for method, path in (
        ("POST", "/apps/demo/publish"),
        ("POST", "/apps/demo/broadcast"),
        ("GET", HISTORY),
        ("GET", "/apps/demo/channels"),
        ("GET", "/apps/demo/channels/room:1"),
        ("HEAD", "/apps/demo/channels/room:1/events"),
    ):
        assert stranger.simulate_request(method, path, headers=sent, json={}).status_code in (200, 400), path


def test_a_token_without_the_scope_is_forbidden_and_scope_and_channel_are_named(
    stranger: testing.TestClient, make_token: Callable[..., str]
) -> None:
    reader = bearer(make_token(can={"room:*": ["history", "subscribe"]}))
    writer = bearer(make_token(can={"*": ["publish"], "hall:*": ["history", "subscribe"]}))
    refused = [
        (stranger.simulate_post(PUBLISH, headers=reader, json=EVENT), "publish", "room:1"),
        (stranger.simulate_post("/apps/demo/publish", headers=reader, json={}), "publish", "whole app"),
        (stranger.simulate_post("/apps/demo/broadcast", headers=reader, json={}), "publish", "whole app"),
        (stranger.simulate_get("/apps/demo/channels", headers=reader), "history", "whole app"),
        (stranger.simulate_get("/apps/demo/channels/hall:1/history", headers=reader), "history", "hall:1"),
        (stranger.simulate_get(HISTORY, headers=writer), "history", "room:1"),
        (stranger.simulate_get("/apps/demo/channels/room:1", headers=writer), "history", "room:1"),
        (stranger.simulate_get("/apps/demo/channels/room:1/events", headers=writer), "subscribe", "room:1"),
    ]
    for reply, scope, where in refused:
        assert (reply.status_code, reply.json["code"]) == (403, "forbidden")
        assert f'"{scope}"' in reply.json["error"]
        assert where in reply.json["error"]


def test_a_token_never_may_forget_a_past(stranger: testing.TestClient, make_token: Callable[..., str]) -> None:
    sent = bearer(make_token(can={"*": ["admin", "history"]}))
    assert stranger.simulate_get(HISTORY, headers=sent).status_code == 200
    reply = stranger.simulate_delete(HISTORY, headers=sent)
    assert (reply.status_code, reply.json["code"]) == (403, "forbidden")
    assert '"admin"' in reply.json["error"]


def test_a_token_of_another_app_is_forbidden(stranger: testing.TestClient, make_token: Callable[..., str]) -> None:
    reply = stranger.simulate_get(HISTORY, headers=bearer(make_token(app="other")))
    assert (reply.status_code, reply.json["code"]) == (403, "forbidden")


def test_a_token_that_does_not_count_says_why(stranger: testing.TestClient, make_token: Callable[..., str]) -> None:
    expired = stranger.simulate_get(HISTORY, headers=bearer(make_token(exp=int(time.time()) - 1)))
    assert (expired.status_code, expired.json["code"]) == (401, "token_expired")
    for wrong in ("abc", "a.b.c", "full-key", make_token(secret="x" * 32), "ü.é.ß".encode().decode("latin-1")):
        reply = stranger.simulate_get(HISTORY, headers=bearer(wrong))
        assert (reply.status_code, reply.json["code"]) == (401, "unauthorized")
        assert reply.json["error"].startswith("The token is not valid: ")
        assert "Bearer " in reply.headers["www-authenticate"]


def test_the_user_whom_a_token_names_is_in_its_events(
    stranger: testing.TestClient, client: testing.TestClient, make_token: Callable[..., str]
) -> None:
    alice, nobody = bearer(make_token(sub='al"ice\u0001ü')), bearer(make_token(sub=...))
    event = {"channel": "room:1", **EVENT}
    for sent in (alice, nobody):
        stranger.simulate_post(PUBLISH, headers=sent, json=EVENT)
        stranger.simulate_post("/apps/demo/publish", headers=sent, json={"events": [event]})
        stranger.simulate_post("/apps/demo/broadcast", headers=sent, json={"channels": ["room:1"], **EVENT})
    client.simulate_post(PUBLISH, json=EVENT)
    users = [event["meta"]["user_id"] for event in client.simulate_get(HISTORY).json["events"]]
    assert users == ['al"ice\u0001ü'] * 3 + [None] * 4


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER   "])
def test_the_scheme_is_written_in_any_case(
    stranger: testing.TestClient, make_token: Callable[..., str], scheme: str
) -> None:
    assert stranger.simulate_get(HISTORY, headers={"Authorization": scheme + make_token()}).status_code == 200


@pytest.mark.parametrize("scheme", ["Basic ", "Bearer", "", "Bearer "])
def test_another_scheme_is_no_token(stranger: testing.TestClient, make_token: Callable[..., str], scheme: str) -> None:
    token = "" if scheme == "Bearer " else make_token()
    reply = stranger.simulate_get(HISTORY, headers={"Authorization": scheme + token})
    assert (reply.status_code, reply.json["error"]) == (401, "No API key was sent.")


def test_the_key_goes_before_the_token(stranger: testing.TestClient, make_token: Callable[..., str]) -> None:
    wrong_token = {"X-API-Key": "full-key", **bearer("abc")}
    wrong_key = {"X-API-Key": "wrong", **bearer(make_token())}
    empty_key = {"X-API-Key": "", **bearer(make_token())}
    assert stranger.simulate_get(HISTORY, headers=wrong_token).status_code == 200
    assert stranger.simulate_get(HISTORY, headers=wrong_key).status_code == 401
    assert stranger.simulate_get(HISTORY, headers=empty_key).status_code == 401


def test_a_public_channel_is_read_whatever_the_token(stranger: testing.TestClient) -> None:
    public = "/apps/demo/channels/public:1"
    assert stranger.simulate_get(f"{public}/history", headers=bearer("abc")).status_code == 200
    assert stranger.simulate_post(f"{public}/publish", headers=bearer("abc"), json=EVENT).status_code == 401


def test_the_parameter_key_of_events_takes_a_token(
    stranger: testing.TestClient, make_token: Callable[..., str]
) -> None:
    path = "/apps/demo/channels/room:1/events"
    token = make_token(can={"room:*": ["subscribe"]})
    assert stranger.simulate_head(path, query_string=f"key={token}").status_code == 200
    assert stranger.simulate_head(path, query_string="key=a.b.c").status_code == 401
    assert stranger.simulate_head(path.replace("room", "hall"), query_string=f"key={token}").status_code == 403
    assert stranger.simulate_head(path, query_string=f"key={token}", headers=bearer("abc")).status_code == 401
    assert stranger.simulate_head(path, query_string=f"key={token}", headers={"X-API-Key": "wrong"}).status_code == 401
    assert stranger.simulate_get(HISTORY, query_string=f"key={token}").status_code == 401


def test_a_name_is_checked_before_the_token(stranger: testing.TestClient, make_token: Callable[..., str]) -> None:
    for sent in (bearer(make_token()), bearer("abc")):
        reply = stranger.simulate_get("/apps/demo/channels/a%ff/history", headers=sent)
        assert (reply.status_code, reply.json["code"]) == (400, "invalid_channel")
        assert "not UTF-8" in reply.json["error"]
        assert stranger.simulate_get("/apps/a.b/channels", headers=sent).json["code"] == "invalid_app"


def test_without_a_secret_no_token_is_taken(make_app: Callable[..., WsgiApp], make_token: Callable[..., str]) -> None:
    client = testing.TestClient(make_app(tokens=None))
    reply = client.simulate_get(HISTORY, headers=bearer(make_token()))
    assert (reply.status_code, reply.json["code"]) == (401, "unauthorized")
    assert reply.json["error"] == "Bearer tokens are not accepted; neither JWT_SECRET nor JWT_JWKS is set."


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


def test_a_key_that_has_expired_is_said_to_its_holder_alone(
    make_app: Callable[..., WsgiApp], engine: EmbeddedEngine
) -> None:
    access = Access()
    access.add_key("demo", hashlib.sha256(b"brief").hexdigest(), ["history"], int(time.time()) - 1)
    engine.configure(access, Rules(ChannelRule()))
    client = testing.TestClient(make_app())
    for key, said in (("brief", "The API key has expired."), ("guess", "The API key is not a key of this app.")):
        reply = client.simulate_get(HISTORY, headers={"X-API-Key": key})
        assert (reply.status_code, reply.json["code"], reply.json["error"]) == (401, "unauthorized", said)


EVERY_REQUEST = [
    ("POST", PUBLISH, "publish", "room:1"),
    ("POST", "/apps/demo/publish", "publish", ""),
    ("POST", "/apps/demo/broadcast", "publish", ""),
    ("GET", HISTORY, "history", "room:1"),
    ("DELETE", HISTORY, "admin", "room:1"),
    ("HEAD", "/apps/demo/channels/room:1/events", "subscribe", "room:1"),
    ("GET", "/apps/demo/channels/public:1/history", "history", "public:1"),
    ("GET", "/apps/demo/channels/room:1/presence", "history", "room:1"),
    ("GET", "/apps/demo/channels/room:1", "history", "room:1"),
    ("GET", "/apps/demo/channels", "history", ""),
    ("GET", "/apps/demo/analytics", "history", ""),
]


@pytest.mark.parametrize(("method", "path", "kind", "channel"), EVERY_REQUEST)
def test_the_hook_is_asked_before_all_else(
    make_app: Callable[..., WsgiApp], secret: str, method: str, path: str, kind: str, channel: str
) -> None:
    asked: list[AuthorizeRequest] = []

    def hook(request: AuthorizeRequest) -> Grant | None:
        asked.append(request)
        raise Forbidden("Not on a Sunday.")

    client = testing.TestClient(make_app(tokens=Tokens(secret, hook)))
    sent = {"X-API-Key": "full-key", "Cookie": "a=b", "Content-Type": "application/json"}
    asks = {"headers": sent, "query_string": "who=me&who=you&key=k", "extras": {"REMOTE_ADDR": "203.0.113.7"}}
    reply = client.simulate_request(method, path, **asks)
    assert reply.status_code == 403
    assert method == "HEAD" or reply.json["error"] == "Not on a Sunday."
    (request,) = asked
    assert (request.kind, request.app, request.channel, request.api_key) == (kind, "demo", channel, "full-key")
    assert request.params == {"who": "you"}
    assert request.source_ip == "203.0.113.7"
    assert (request.headers["cookie"], request.headers["content-type"]) == ("a=b", "application/json")


def test_the_hook_sees_the_token_or_the_key_whatever_it_is(make_app: Callable[..., WsgiApp], secret: str) -> None:
    asked: list[tuple[str, str]] = []
    tokens = Tokens(secret, lambda request: asked.append((request.token, request.api_key)))
    client = testing.TestClient(make_app(tokens=tokens))
    client.simulate_get(HISTORY, headers=bearer("opaque"))
    client.simulate_get(HISTORY, headers={"X-API-Key": "\xd0\xba"})
    client.simulate_head("/apps/demo/channels/room:1/events", query_string="key=reader-key")
    client.simulate_head("/apps/demo/channels/room:1/events", query_string="key=a.b.c")
    assert asked == [("opaque", ""), ("", "к"), ("", "reader-key"), ("a.b.c", "")]


def test_what_the_hook_grants_holds_as_it_is(
    make_app: Callable[..., WsgiApp], client: testing.TestClient, secret: str
) -> None:
    def hook(request: AuthorizeRequest) -> Grant:
        grant = Grant("demo", "ann")
        grant.allow("room:*", ["publish"])
        return grant

    hooked = testing.TestClient(make_app(tokens=Tokens(secret, hook)))
    assert hooked.simulate_post(PUBLISH, json=EVENT).status_code == 200
    assert client.simulate_get(HISTORY).json["events"][0]["meta"]["user_id"] == "ann"
    for refused in (
        hooked.simulate_get(HISTORY),
        hooked.simulate_post("/apps/demo/channels/hall/publish", json=EVENT),
        hooked.simulate_post("/apps/demo/publish", json={"events": []}),
        hooked.simulate_post("/apps/other/channels/room:1/publish", json=EVENT),
        hooked.simulate_delete(HISTORY, headers={"X-API-Key": "full-key"}),
    ):
        assert (refused.status_code, refused.json["code"]) == (403, "forbidden")


def test_where_the_hook_says_nothing_key_and_token_decide(
    make_app: Callable[..., WsgiApp], secret: str, make_token: Callable[..., str]
) -> None:
    client = testing.TestClient(make_app(tokens=Tokens(secret, lambda _: None)))
    assert client.simulate_get(HISTORY, headers={"X-API-Key": "full-key"}).status_code == 200
    assert client.simulate_get(HISTORY, headers=bearer(make_token())).status_code == 200
    assert client.simulate_get(HISTORY, headers=bearer("a.b.c")).status_code == 401
    assert client.simulate_get(HISTORY).status_code == 401
    assert client.simulate_get("/apps/demo/channels/public:1/history", headers=bearer("a.b.c")).status_code == 200


def test_a_hook_that_fails_lets_nobody_in_and_shows_nothing(make_app: Callable[..., WsgiApp], secret: str) -> None:
    def hook(_: AuthorizeRequest) -> None:
        raise RuntimeError("the secret of the hook")

    client = testing.TestClient(make_app(tokens=Tokens(secret, hook)))
    reply = client.simulate_get(HISTORY, headers={"X-API-Key": "full-key"})
    assert (reply.status_code, reply.json["code"]) == (500, "internal_error")
    assert "secret" not in reply.text


def test_a_name_is_checked_before_the_hook_is_asked(make_app: Callable[..., WsgiApp], secret: str) -> None:
    def hook(_: AuthorizeRequest) -> None:
        raise AssertionError

    client = testing.TestClient(make_app(tokens=Tokens(secret, hook)))
    assert client.simulate_get("/apps/a.b/channels").json["code"] == "invalid_app"
    assert client.simulate_get("/apps/demo/channels/a%ff/history").json["code"] == "invalid_channel"
