from collections.abc import Callable, Iterable
from typing import Any

import falcon
import pytest
from falcon import testing

from polyglot_gateway.gateway.create_app import WsgiApp

READABLE = [
    "/alive",
    "/ready",
    "/health",
    "/metrics",
    "/openapi.json",
    "/api/debug/circuit-breaker",
    "/apps/demo/channels",
    "/apps/demo/channels/room:1",
    "/apps/demo/channels/room:1/history",
]


@pytest.mark.parametrize("path", READABLE)
def test_head_answers_as_get_without_a_body(client: testing.TestClient, path: str) -> None:
    get, head = client.simulate_get(path), client.simulate_head(path)
    assert get.status_code == head.status_code == 200
    assert head.content == b""
    assert head.headers["content-type"] == get.headers["content-type"]
    assert get.content != b""


@pytest.mark.parametrize("path", [*READABLE, "/apps/demo/channels/room:1/events"])
def test_options_says_what_is_possible(client: testing.TestClient, path: str) -> None:
    reply = client.simulate_options(path)
    assert (reply.status_code, reply.content) == (204, b"")
    assert not {"content-type", "content-length"} & set(reply.headers)
    assert {"GET", "HEAD"} <= set(reply.headers["allow"].split(", "))


def test_it_can_be_mounted_inside_another_application(make_app: Callable[..., WsgiApp]) -> None:
    inner = make_app()

    def outer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        assert environ["PATH_INFO"].startswith("/gateway")
        environ["SCRIPT_NAME"] += "/gateway"
        environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix("/gateway")
        return inner(environ, start_response)

    client = testing.TestClient(outer, headers={"X-API-Key": "full-key"})
    sent = client.simulate_post("/gateway/apps/demo/channels/a%2Fb/publish", json={"type": "t", "data": 1})
    assert sent.status_code == 200
    assert client.simulate_get("/gateway/apps/demo/channels/a%2Fb").json["last_offset"] == 1
    assert client.simulate_get("/gateway/openapi.json").json["servers"] == [{"url": "/gateway"}]


def test_two_applications_share_nothing(make_app: Callable[..., WsgiApp]) -> None:
    with_cors = testing.TestClient(make_app(cors_origins=["*"]))
    without = testing.TestClient(make_app())
    assert "vary" in with_cors.simulate_get("/alive").headers
    assert "vary" not in without.simulate_get("/alive").headers


def test_more_routes_may_be_added(app: WsgiApp, client: testing.TestClient) -> None:
    class Hello:
        def on_get(self, req: falcon.Request, resp: falcon.Response, **params: str) -> None:
            resp.media = params

    app.add_route("/hello/{name}", Hello())
    app.add_route("/apps/{app}/channels/{channel}/hello", Hello())
    assert client.simulate_get("/hello/you").json == {"name": "you"}
    assert client.simulate_get("/apps/demo/channels/a/b/hello").json == {"app": "demo", "channel": "a/b"}
