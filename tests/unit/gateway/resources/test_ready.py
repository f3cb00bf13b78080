from falcon import testing

from polyglot_gateway.engine.embedded import EmbeddedEngine


def test_it_is_ready(stranger: testing.TestClient) -> None:
    reply = stranger.simulate_get("/ready")
    assert (reply.status_code, reply.json) == (200, {"status": "ready"})


def test_it_says_why_it_is_not(stranger: testing.TestClient, engine: EmbeddedEngine) -> None:
    engine.close()
    reply = stranger.simulate_get("/ready")
    assert reply.status_code == 503
    assert reply.json["status"] == "not_ready"
    assert len(reply.json["reasons"]) == 1
    assert reply.headers["retry-after"] == "1"
