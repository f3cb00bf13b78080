from collections.abc import Callable

import pytest
from falcon import testing

from polyglot_gateway.gateway.create_app import WsgiApp

PAGE = "https://page.example"
HISTORY = "/apps/demo/channels/public:1/history"


@pytest.fixture
def client(make_app: Callable[..., WsgiApp]) -> testing.TestClient:
    return testing.TestClient(make_app(cors_origins=[PAGE, "https://second.example:8443"]))


def test_a_known_page_may_read_the_reply(client: testing.TestClient) -> None:
    reply = client.simulate_get(HISTORY, headers={"Origin": PAGE})
    assert reply.headers["access-control-allow-origin"] == PAGE
    assert reply.headers["vary"] == "Origin"
    assert reply.headers["access-control-expose-headers"] == "X-Request-ID, Idempotency-Replayed, Retry-After"
    assert "access-control-allow-credentials" not in reply.headers


def test_a_known_page_may_read_errors_too(client: testing.TestClient) -> None:
    reply = client.simulate_get("/nowhere", headers={"Origin": PAGE})
    assert reply.status_code == 404
    assert reply.headers["access-control-allow-origin"] == PAGE


@pytest.mark.parametrize("origin", ["https://evil.example", "https://page.example.evil", "http://page.example", "null"])
def test_another_page_may_not(client: testing.TestClient, origin: str) -> None:
    reply = client.simulate_get(HISTORY, headers={"Origin": origin})
    assert reply.status_code == 200
    assert "access-control-allow-origin" not in reply.headers
    assert reply.headers["vary"] == "Origin"


def test_a_preflight_says_what_may_be_sent(client: testing.TestClient) -> None:
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    reply = client.simulate_options("/apps/demo/channels/room:1/publish", headers=asked)
    assert reply.status_code == 204
    assert reply.headers["access-control-allow-methods"] == "POST"
    allowed = reply.headers["access-control-allow-headers"].split(", ")
    for header in ("X-API-Key", "Content-Type", "Idempotency-Key", "Last-Event-ID", "X-Request-ID", "Authorization"):
        assert header in allowed
    assert reply.headers["access-control-max-age"] == "600"


def test_a_preflight_of_another_page_says_nothing(client: testing.TestClient) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    reply = client.simulate_options("/apps/demo/channels/room:1/publish", headers=asked)
    assert not [name for name in reply.headers if name.startswith("access-control")]


def test_a_star_lets_any_page_read(make_app: Callable[..., WsgiApp]) -> None:
    reply = testing.TestClient(make_app(cors_origins=["*"])).simulate_get(
        "/alive", headers={"Origin": "https://any.example"}
    )
    assert reply.headers["access-control-allow-origin"] == "*"


def test_without_origins_there_is_no_header_at_all(stranger: testing.TestClient) -> None:
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "GET"}
    for reply in (stranger.simulate_get("/alive", headers=asked), stranger.simulate_options("/alive", headers=asked)):
        assert "vary" not in reply.headers
        assert not [name for name in reply.headers if name.startswith("access-control")]
