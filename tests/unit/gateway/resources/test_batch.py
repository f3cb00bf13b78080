import json
from typing import Any

import pytest
from falcon import testing

BATCH = "/apps/demo/publish"
LIMIT = 4096


def item(channel: str, data: Any = 1) -> dict[str, Any]:
    return {"channel": channel, "type": "t", "data": data}


def test_each_event_gets_its_answer_in_order(client: testing.TestClient) -> None:
    reply = client.simulate_post(BATCH, json={"events": [item("a"), {"channel": "b"}, item("not a name"), item("a")]})
    assert reply.status_code == 200
    first, second, third, fourth = reply.json["results"]
    assert (first["channel"], first["offset"]) == ("a", 1)
    assert (second["code"], second["status"]) == ("invalid_event", 400)
    assert third["code"] == "invalid_channel"
    assert (fourth["channel"], fourth["offset"]) == ("a", 2)


def test_lines_of_json_are_taken_too(client: testing.TestClient) -> None:
    body = "\n".join([json.dumps(item("a")), "", "{", json.dumps(item("b"))])
    reply = client.simulate_post(BATCH, body=body, content_type="application/x-ndjson")
    assert reply.status_code == 200
    assert [result.get("code", "kept") for result in reply.json["results"]] == ["kept", "invalid_json", "kept"]


def test_the_body_has_to_be_json_or_lines_of_it(client: testing.TestClient) -> None:
    reply = client.simulate_post(BATCH, body=json.dumps({"events": [item("a")]}), content_type="text/csv")
    assert (reply.status_code, reply.json["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b'{"events":[', "invalid_json"),
        (b'{"events":[]}', "invalid_event"),
        (b"[]", "invalid_event"),
    ],
)
def test_a_body_that_is_no_batch_is_refused_whole(client: testing.TestClient, body: bytes, code: str) -> None:
    reply = client.simulate_post(BATCH, body=body)
    assert (reply.status_code, reply.json["code"]) == (400, code)


def test_the_batch_has_a_limit_of_its_own(client: testing.TestClient) -> None:
    body = json.dumps({"events": [item("a")]}).encode()
    assert client.simulate_post(BATCH, body=body.ljust(LIMIT)).status_code == 200
    reply = client.simulate_post(BATCH, body=body.ljust(LIMIT + 1))
    assert (reply.status_code, reply.json["code"]) == (413, "payload_too_large")


def test_an_idempotency_key_covers_each_event(client: testing.TestClient) -> None:
    body, key = {"events": [item("a"), item("b")]}, {"Idempotency-Key": "batch-1"}
    first = client.simulate_post(BATCH, json=body, headers=key)
    again = client.simulate_post(BATCH, json=body, headers=key)
    assert again.json["results"] == [{**result, "replayed": True} for result in first.json["results"]]
    assert client.simulate_get("/apps/demo/channels/a").json["last_offset"] == 1
