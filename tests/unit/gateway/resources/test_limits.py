import pytest
from falcon import testing

from polyglot_gateway import _core
from polyglot_gateway.engine.embedded import EmbeddedEngine

EVENT = {"type": "t", "data": 1}
NOTHING = dict.fromkeys(("events", "bytes", "connections", "subscriptions", "channels"))


@pytest.fixture
def limits(engine: EmbeddedEngine, access: _core.Access, rules: _core.Rules) -> _core.Limits:
    """Of `demo`: five events at once, and two channels."""
    limits = _core.Limits()
    limits.add("demo", events_per_second=1, events_burst=5, channels=2)
    engine.configure(access, rules, limits)
    return limits


def test_an_app_without_limits_has_none(client: testing.TestClient) -> None:
    reply = client.simulate_get("/apps/demo/limits")
    assert (reply.status_code, reply.json) == (200, {"app_id": "demo", **NOTHING})


@pytest.mark.usefixtures("limits")
def test_limits_and_use_are_shown(client: testing.TestClient) -> None:
    assert client.simulate_post("/apps/demo/channels/a/publish", json=EVENT).status_code == 200
    reply = client.simulate_get("/apps/demo/limits")
    assert reply.json["events"] == {"per_second": 1, "burst": 5, "remaining": 4}
    assert reply.json["channels"] == {"most": 2, "used": 1}
    assert reply.json["connections"] is None
    assert client.simulate_get("/apps/other/limits", headers={"X-API-Key": "other-key"}).json["events"] is None


@pytest.mark.usefixtures("limits")
def test_it_needs_the_scope_history(client: testing.TestClient) -> None:
    for key, status in (("reader-key", 200), ("writer-key", 403), ("nobody's", 401)):
        assert client.simulate_get("/apps/demo/limits", headers={"X-API-Key": key}).status_code == status


@pytest.mark.usefixtures("limits")
def test_publishers_are_told_what_is_left_and_when_there_is_more(client: testing.TestClient) -> None:
    batch = {"events": [{"channel": "a", **EVENT}] * 4}
    first = client.simulate_post("/apps/demo/publish", json=batch)
    assert first.headers["ratelimit-policy"] == '"events";q=5;w=5'
    assert first.headers["ratelimit"] == '"events";r=1;t=4'
    refused = client.simulate_post("/apps/demo/broadcast", json={"channels": ["a", "b"], **EVENT})
    assert (refused.status_code, refused.json["code"]) == (429, "rate_limited")
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["ratelimit"].startswith('"events";r=1;')
    again = client.simulate_post("/apps/demo/publish", json=batch)
    assert (again.status_code, again.headers["retry-after"]) == (429, "3")
    large = client.simulate_post("/apps/demo/publish", json={"events": [{"channel": "a", **EVENT}] * 6})
    assert (large.status_code, large.json["code"]) == (413, "payload_too_large")
    assert "ratelimit" not in large.headers
