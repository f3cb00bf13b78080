from falcon import testing


def test_the_embedded_processor_has_no_breaker(stranger: testing.TestClient) -> None:
    reply = stranger.simulate_get("/api/debug/circuit-breaker")
    assert reply.json == {"enabled": False, "processor": "embedded", "state": "closed"}
