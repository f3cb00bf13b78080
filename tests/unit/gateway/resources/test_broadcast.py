import pytest
from falcon import testing

BROADCAST = "/apps/demo/broadcast"


def test_an_event_goes_to_every_channel(client: testing.TestClient) -> None:
    reply = client.simulate_post(BROADCAST, json={"channels": ["a", "b/c", "not a name"], "type": "t", "data": 1})
    assert reply.status_code == 200
    results = reply.json["results"]
    assert [result["channel"] for result in results] == ["a", "b/c", "not a name"]
    assert [result.get("offset") for result in results] == [1, 1, None]
    assert results[2]["code"] == "invalid_channel"
    for channel in ("a", "b/c"):
        assert client.simulate_get(f"/apps/demo/channels/{channel}").json["last_offset"] == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_json"),
        (b'{"channels":[],"type":"t","data":1}', "invalid_event"),
        (b'{"channels":["a","a"],"type":"t","data":1}', "invalid_event"),
        (b'{"channels":["a"],"type":"t"}', "invalid_event"),
    ],
)
def test_a_body_that_is_no_broadcast_is_refused(client: testing.TestClient, body: bytes, code: str) -> None:
    reply = client.simulate_post(BROADCAST, body=body)
    assert (reply.status_code, reply.json["code"]) == (400, code)


def test_it_has_the_limit_and_the_type_of_a_batch(client: testing.TestClient) -> None:
    body = b'{"channels":["a"],"type":"t","data":1}'
    assert client.simulate_post(BROADCAST, body=body.ljust(4096)).status_code == 200
    assert client.simulate_post(BROADCAST, body=body.ljust(4097)).status_code == 413
    assert client.simulate_post(BROADCAST, body=body, content_type="application/x-ndjson").status_code == 415
