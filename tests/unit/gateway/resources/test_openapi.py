from falcon import testing


def test_the_document_is_served(stranger: testing.TestClient) -> None:
    reply = stranger.simulate_get("/openapi.json")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.json["openapi"] == "3.1.0"
    assert reply.json["info"]["version"] == "1.2.3"
