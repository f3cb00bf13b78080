import pytest
from falcon import testing


@pytest.mark.parametrize("path", ["/alive", "/nowhere", "/apps/demo/channels/room:1/history", "/apps/demo/publish"])
def test_every_reply_has_a_request_id(client: testing.TestClient, path: str) -> None:
    first = client.simulate_get(path).headers["x-request-id"]
    second = client.simulate_get(path).headers["x-request-id"]
    assert len(first) == len(second) == 32
    assert first != second


def test_the_callers_id_comes_back_in_header_and_problem(client: testing.TestClient) -> None:
    reply = client.simulate_get("/nowhere", headers={"X-Request-ID": "trace-1.a_B"})
    assert reply.headers["x-request-id"] == reply.json["request_id"] == "trace-1.a_B"
