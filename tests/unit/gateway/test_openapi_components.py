from typing import Any

import jsonschema_rs
import pytest
from falcon import testing

from polyglot_gateway.gateway.openapi_components import schemas

ROOM = "/apps/demo/channels/room:1"
EVENT = {"type": "message", "data": {"text": "Hello"}}


def validator(name: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas()}}, validate_formats=True
    )


def test_replies_are_as_described(client: testing.TestClient) -> None:
    items = [{"channel": "room:1", **EVENT}, {"channel": "not a name", **EVENT}, {"channel": "room:2"}]
    replies: list[tuple[str, Any]] = [
        ("Ack", client.simulate_post(f"{ROOM}/publish", json=EVENT)),
        ("Results", client.simulate_post("/apps/demo/publish", json={"events": items})),
        (
            "Results",
            client.simulate_post("/apps/demo/publish", body=b"{\n[]\n{}", content_type="application/x-ndjson"),
        ),
        ("Results", client.simulate_post("/apps/demo/broadcast", json={"channels": ["a", "not a name"], **EVENT})),
        ("History", client.simulate_get(f"{ROOM}/history")),
        ("History", client.simulate_get(f"{ROOM}/history", query_string="since=99")),
        ("History", client.simulate_get("/apps/demo/channels/never/history")),
        ("ChannelOfApp", client.simulate_get(ROOM)),
        ("ChannelOfApp", client.simulate_get("/apps/demo/channels/never")),
        ("Channels", client.simulate_get("/apps/demo/channels", query_string="limit=1")),
        ("Forgotten", client.simulate_delete(f"{ROOM}/history")),
        ("Problem", client.simulate_post(f"{ROOM}/publish", body=b"{")),
        ("Problem", client.simulate_get("/nowhere")),
        ("Alive", client.simulate_get("/alive")),
        ("Ready", client.simulate_get("/ready")),
        ("Health", client.simulate_get("/health")),
        ("CircuitBreaker", client.simulate_get("/api/debug/circuit-breaker")),
    ]
    for name, reply in replies:
        validator(name).validate(reply.json)


def test_a_result_always_names_its_channel_if_only_as_empty_text(client: testing.TestClient) -> None:
    reply = client.simulate_post("/apps/demo/publish", body=b"{", content_type="application/x-ndjson")
    (result,) = reply.json["results"]
    assert result["channel"] == ""
    for wrong in ({**result, "channel": None}, {name: value for name, value in result.items() if name != "channel"}):
        assert not validator("Results").is_valid({"results": [wrong]})


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("Event", {}),
        ("Event", {"type": "", "data": 1}),
        ("Event", {"type": "t", "data": 1, "more": 1}),
        ("Event", []),
        ("Batch", {"events": []}),
        ("Batch", {"events": [{**EVENT, "channel": "a"}], "more": 1}),
        ("Broadcast", {"channels": [], **EVENT}),
        ("Broadcast", {"channels": ["a", "a"], **EVENT}),
    ],
)
def test_what_the_description_forbids_is_refused(client: testing.TestClient, name: str, body: Any) -> None:
    assert not validator(name).is_valid(body)
    path = {"Event": f"{ROOM}/publish", "Batch": "/apps/demo/publish", "Broadcast": "/apps/demo/broadcast"}[name]
    assert client.simulate_post(path, json=body).status_code == 400
