from typing import Any

import pytest
from falcon import testing

from polyglot_gateway.gateway.router import CHANNEL, ChannelRouter


class Resource:
    def __init__(self, name: str) -> None:
        self.name = name

    def on_get(self, req: object, resp: object, **params: str) -> None: ...


@pytest.fixture
def router() -> ChannelRouter:
    router = ChannelRouter()
    for name in ("publish", "history"):
        router.add_route(f"{CHANNEL}/{name}", Resource(name))
    router.add_route(CHANNEL, Resource("info"))
    router.add_route("/apps/{app}/channels", Resource("list"))
    router.add_route("/alive", Resource("alive"))
    return router


def found(router: ChannelRouter, raw: str, **environ: Any) -> tuple[str, dict[str, str]] | None:
    """Route as behind a server: the path is decoded, the raw one is told unless `environ` says otherwise."""
    req = testing.create_req(path=raw)
    req.env.update(environ)
    route = router.find(req.path, req)
    return None if route is None else (route[0].name, route[2])  # type: ignore[attr-defined]


ROUTES = [
    ("/apps/a/channels/room/publish", "publish", "room"),
    ("/apps/a/channels/room:1/history", "history", "room:1"),
    ("/apps/a/channels/room%3A1/history", "history", "room:1"),
    ("/apps/a/channels/x@y,z;=~./history", "history", "x@y,z;=~."),
    ("/apps/a/channels/x%40y%2Cz%3B%3D/history", "history", "x@y,z;="),
    ("/apps/a/channels/a/b/c/history", "history", "a/b/c"),
    ("/apps/a/channels/a%2Fb%2fc/history", "history", "a/b/c"),
    ("/apps/a/channels/channels/history", "history", "channels"),
    ("/apps/a/channels/a/channels/b/history", "history", "a/channels/b"),
    ("/apps/a/channels/history/history", "history", "history"),
    ("/apps/a/channels/history", "info", "history"),
    ("/apps/a/channels/a%2Fhistory", "info", "a/history"),
    ("/apps/a/channels/a%2Fhistory/history", "history", "a/history"),
    ("/apps/a/channels/a%2Fb", "info", "a/b"),
    ("/apps/a/channels/a/b", "info", "a/b"),
    ("/apps/a/channels/a/", "info", "a/"),
    ("/apps/a/channels/", "info", ""),
    ("/apps/a/channels//history", "history", ""),
]


@pytest.mark.parametrize(("path", "name", "channel"), ROUTES)
def test_a_channel_name_may_hold_slashes(router: ChannelRouter, path: str, name: str, channel: str) -> None:
    assert found(router, path) == (name, {"app": "a", "channel": channel})


def test_without_the_raw_path_the_last_segment_is_the_action(router: ChannelRouter) -> None:
    assert found(router, "/apps/a/channels/a%2Fhistory", RAW_URI="") == ("history", {"app": "a", "channel": "a"})


def test_an_escaped_slash_in_the_query_says_nothing(router: ChannelRouter) -> None:
    raw = "/apps/a/channels/room/history?since=%2F"
    assert found(router, "/apps/a/channels/room/history", RAW_URI=raw) == ("history", {"app": "a", "channel": "room"})


def test_the_raw_path_may_be_told_as_request_uri(router: ChannelRouter) -> None:
    route = found(router, "/apps/a/channels/a%2Fhistory", RAW_URI="", REQUEST_URI="/apps/a/channels/a%2Fhistory")
    assert route == ("info", {"app": "a", "channel": "a/history"})


def test_other_routes_are_falcons(router: ChannelRouter) -> None:
    assert found(router, "/alive") == ("alive", {})
    assert found(router, "/apps/a/channels") == ("list", {"app": "a"})


@pytest.mark.parametrize(
    "path", ["/", "/apps", "/apps/a", "/apps/a/b/channels/room/history", "/apps//nothing", "/alive/"]
)
def test_elsewhere_there_is_nothing(router: ChannelRouter, path: str) -> None:
    assert found(router, path) is None


@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
def test_a_method_that_http_does_not_know_is_not_allowed(client: testing.TestClient) -> None:
    for path in ("/apps/demo/channels/room/history", "/alive"):
        reply = client.simulate_request("BREW", path)
        assert (reply.status_code, reply.json["code"]) == (405, "method_not_allowed")
        assert "GET" in reply.headers["allow"]
