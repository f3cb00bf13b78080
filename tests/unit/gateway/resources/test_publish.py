import json
from collections.abc import Callable

import pytest
from falcon import testing

from polyglot_gateway.gateway.create_app import WsgiApp

PUBLISH = "/apps/demo/channels/room:1/publish"
HISTORY = "/apps/demo/channels/room:1/history"
LIMIT = 65536


def of_size(size: int) -> bytes:
    body = b'{"type":"t","data":"' + b"x" * (size - 22) + b'"}'
    assert len(body) == size
    return body


def test_an_event_is_acknowledged_with_its_place(client: testing.TestClient) -> None:
    first = client.simulate_post(PUBLISH, json={"type": "message", "data": {"text": "Hello"}})
    second = client.simulate_post(PUBLISH, json={"type": "message", "data": None})
    assert first.status_code == second.status_code == 200
    assert first.headers["content-type"] == "application/json"
    assert set(first.json) == {"id", "timestamp", "offset", "epoch"}
    assert (first.json["offset"], second.json["offset"]) == (1, 2)
    assert "idempotency-replayed" not in first.headers
    events = client.simulate_get(HISTORY).json["events"]
    assert [event["id"] for event in events] == [first.json["id"], second.json["id"]]


def test_data_stays_byte_for_byte(client: testing.TestClient) -> None:
    data = '{ "n" : 1.000000000000000000000000001e400, "u": "\\u00e9é", "a":[ ] }'
    assert client.simulate_post(PUBLISH, body=f'{{"data":{data},"type":"t"}}'.encode()).status_code == 200
    assert f'"data":{data},' in client.simulate_get(HISTORY).text


def test_64_kib_exactly_are_taken_and_one_byte_more_is_not(client: testing.TestClient) -> None:
    assert client.simulate_post(PUBLISH, body=of_size(LIMIT)).status_code == 200
    reply = client.simulate_post(PUBLISH, body=of_size(LIMIT + 1))
    assert (reply.status_code, reply.json["code"]) == (413, "payload_too_large")
    assert client.simulate_get(HISTORY).json["count"] == 1


def test_the_rule_of_the_channel_limits_the_body(client: testing.TestClient) -> None:
    path = "/apps/demo/channels/small:1/publish"
    assert client.simulate_post(path, body=of_size(128)).status_code == 200
    assert client.simulate_post(path, body=of_size(129)).status_code == 413


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b'\xef\xbb\xbf{"type":"t","data":1}', "invalid_json"),
        (b'{"type":"t","data":"\\ud800"}', "invalid_json"),
        (b'{"type":"t","data":"\xff"}', "invalid_json"),
        (b'{"type":"t","data":1}\x00', "invalid_json"),
        (b'{"type":"t","data":' + b"[" * 100 + b"]" * 100 + b"}", "invalid_json"),
        (b"[]", "invalid_event"),
        (b'{"type":"t"}', "invalid_event"),
        (b'{"data":1}', "invalid_event"),
        (b'{"type":1,"data":1}', "invalid_event"),
        (b'{"type":"t","type":"u","data":1}', "invalid_event"),
        (b'{"type":"t","data":1,"more":1}', "invalid_event"),
    ],
)
def test_what_is_no_event_is_refused_and_leaves_no_trace(client: testing.TestClient, body: bytes, code: str) -> None:
    reply = client.simulate_post(PUBLISH, body=body)
    assert (reply.status_code, reply.json["code"]) == (400, code)
    if code == "invalid_json":
        assert 0 <= reply.json["position"] <= len(body)
    assert client.simulate_get(HISTORY).json["count"] == 0


def test_the_body_has_to_be_json(client: testing.TestClient) -> None:
    event = json.dumps({"type": "t", "data": 1})
    form = client.simulate_post(PUBLISH, body=event, content_type="application/x-www-form-urlencoded")
    assert (form.status_code, form.json["code"]) == (415, "unsupported_media_type")
    assert client.simulate_post(PUBLISH, body=event, content_type="application/json; charset=utf-8").status_code == 200
    assert client.simulate_post(PUBLISH, body=event).status_code == 200


def test_a_key_is_checked_before_the_body(stranger: testing.TestClient) -> None:
    assert stranger.simulate_post(PUBLISH, body=b"{", content_type="text/plain").status_code == 401


def test_the_same_idempotency_key_gives_the_first_reply_again(client: testing.TestClient) -> None:
    event, key = {"type": "t", "data": 1}, {"Idempotency-Key": "order-7"}
    first = client.simulate_post(PUBLISH, json=event, headers=key)
    again = client.simulate_post(PUBLISH, json=event, headers=key)
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    other = client.simulate_post(PUBLISH, json={"type": "t", "data": 2}, headers=key)
    assert (other.status_code, other.json["code"]) == (422, "idempotency_mismatch")
    assert client.simulate_get(HISTORY).json["count"] == 1


def test_an_idempotency_key_that_is_too_long_is_refused(client: testing.TestClient) -> None:
    def send(length: int) -> str:
        headers = {"Idempotency-Key": "k" * length}
        reply = client.simulate_post(PUBLISH, json={"type": "t", "data": 1}, headers=headers)
        return str(reply.json.get("code", "taken"))

    assert (send(255), send(256)) == ("taken", "invalid_parameter")


@pytest.mark.parametrize("path", [PUBLISH, "/apps/demo/publish", "/apps/demo/broadcast"])
def test_an_idempotency_key_outside_ascii_is_refused(client: testing.TestClient, path: str) -> None:
    reply = client.simulate_post(path, body=b"{}", headers={"Idempotency-Key": "\xe9" * 200})
    assert (reply.status_code, reply.json["code"]) == (400, "invalid_parameter")
    assert "outside ASCII" in reply.json["error"]


def test_the_source_address_is_kept(make_app: Callable[..., WsgiApp]) -> None:
    client = testing.TestClient(make_app(trusted_proxies=["127.0.0.1"]), headers={"X-API-Key": "full-key"})
    for forwarded in (None, "198.51.100.1"):
        headers = {"X-Forwarded-For": forwarded} if forwarded else {}
        client.simulate_post(PUBLISH, json={"type": "t", "data": 1}, headers=headers, remote_addr="127.0.0.1")
    events = client.simulate_get(HISTORY).json["events"]
    assert [event["meta"]["source_ip"] for event in events] == ["127.0.0.1", "198.51.100.1"]


def test_a_channel_with_a_slash_is_published_to(client: testing.TestClient) -> None:
    for path in ("/apps/demo/channels/a%2Fb/publish", "/apps/demo/channels/a/b/publish"):
        assert client.simulate_post(path, json={"type": "t", "data": 1}).status_code == 200
    assert client.simulate_get("/apps/demo/channels/a%2Fb/history").json["channel"] == "a/b"
    assert client.simulate_get("/apps/demo/channels/a/b").json["last_offset"] == 2
