from collections.abc import Callable, Iterable

from falcon import testing

from polyglot_gateway.errors import Forbidden
from polyglot_gateway.gateway.create_app import WsgiApp


class OnlyRooms:
    """An Access of the user's own."""

    def authorize(self, app: str, channel: str, key: str | bytes, scope: str) -> None:
        if not channel.startswith("room:"):
            raise Forbidden(f"{channel} is not a room.")

    def max_event_bytes(self, app: str, channel: str) -> int:
        return 32

    def rate_limit(self, app: str) -> tuple[str, str] | None:
        return ('"events";q=3;w=1', f'"events";r={len(app)};t=1')

    def limits(self, app: str) -> bytes:
        return b'{"app_id":"%s"}' % app.encode()


class Canned:
    """Streams of the user's own."""

    def open(
        self,
        app: str,
        channel: str,
        epoch: str,
        since: int | None,
        cut: Callable[[], object] | None,
        allowed: Callable[[], bool],
    ) -> Iterable[bytes]:
        return [f"data: {app} {channel} {epoch} {since}\n\n".encode()]


def test_any_access_can_decide(make_app: Callable[..., WsgiApp]) -> None:
    client = testing.TestClient(make_app(access=OnlyRooms()))
    assert client.simulate_get("/apps/any/channels/room:1/history").status_code == 200
    assert client.simulate_get("/apps/any/channels/hall:1/history").json["error"] == "hall:1 is not a room."
    too_long = client.simulate_post("/apps/any/channels/room:1/publish", json={"type": "t", "data": "x" * 32})
    assert too_long.json["code"] == "payload_too_large"
    published = client.simulate_post("/apps/any/channels/room:1/publish", json={"type": "t", "data": 1})
    assert published.headers["ratelimit"] == '"events";r=3;t=1'


def test_any_streams_can_deliver(make_app: Callable[..., WsgiApp]) -> None:
    client = testing.TestClient(make_app(streams=Canned()), headers={"X-API-Key": "full-key"})
    reply = client.simulate_get("/apps/demo/channels/room:1/events", query_string="since=0123456789abcdef:5")
    assert reply.text == "data: demo room:1 0123456789abcdef 5\n\n"


def test_refusals_are_told_to_whoever_counts_them(make_app: Callable[..., WsgiApp]) -> None:
    counted: list[str] = []
    testing.TestClient(make_app(count_refused=counted.append)).simulate_get("/nowhere")
    assert counted == ["not_found"]
