import os

from falcon import testing


def test_the_full_status_needs_no_key(stranger: testing.TestClient) -> None:
    reply = stranger.simulate_get("/health")
    assert reply.status_code == 200
    assert (reply.json["status"], reply.json["version"], reply.json["worker"]) == ("ok", "1.2.3", os.getpid())
