from falcon import testing

from polyglot_gateway.engine.embedded import EmbeddedEngine


def test_it_is_alive_whatever_is_wrong(stranger: testing.TestClient, engine: EmbeddedEngine) -> None:
    engine.close()
    reply = stranger.simulate_get("/alive")
    assert (reply.status_code, reply.json) == (200, {"status": "alive"})
