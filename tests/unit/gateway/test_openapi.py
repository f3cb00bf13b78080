import json
from typing import Any

import jsonschema_rs
import pytest
from falcon import testing

from polyglot_gateway.gateway.openapi import document

DOCUMENT = document("1.2.3", "/gateway")
METHODS = {"get", "head", "post", "delete"}


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, item[method])
        for path, item in DOCUMENT["paths"].items()
        for method in sorted(METHODS)
        if method in item
    ]


def resolve(node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        found: Any = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [node["$ref"] for _ in node if "$ref" in node] + [
            ref for value in node.values() for ref in references(value)
        ]
    return [ref for value in node for ref in references(value)] if isinstance(node, list) else []


def test_every_reference_leads_somewhere_and_everything_shared_is_used() -> None:
    used = set(references(DOCUMENT))
    for reference in used:
        assert resolve({"$ref": reference})
    shared = {
        f"#/components/{kind}/{name}"
        for kind in ("parameters", "headers", "schemas")
        for name in DOCUMENT["components"][kind]
    }
    assert shared == used


def test_every_schema_is_a_schema() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


def test_what_waits_for_the_engine_is_described() -> None:
    waits = {"id": "evt_" + 26 * "0", "timestamp": "2026-01-01T00:00:00.000000Z", "spooled": True}
    schemas = DOCUMENT["components"]["schemas"]
    jsonschema_rs.validate(schemas["SpooledAck"], waits)
    jsonschema_rs.validate(schemas["Results"], {"results": [{"channel": "room:1", **waits}]})
    assert "202" in DOCUMENT["paths"]["/apps/{app}/channels/{channel}/publish"]["post"]["responses"]


def test_operations_have_ids_of_their_own() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))


def test_every_path_parameter_is_described() -> None:
    for path, item in DOCUMENT["paths"].items():
        described = {resolve(parameter)["name"] for parameter in item.get("parameters", [])}
        assert described == {part[1:-1] for part in path.split("/") if part.startswith("{")}


def test_every_route_is_described_with_its_methods(client: testing.TestClient) -> None:
    for path, item in DOCUMENT["paths"].items():
        reply = client.simulate_options(path.format(app="demo", channel="room:1"))
        assert reply.status_code == 204, path
        assert set(reply.headers["allow"].lower().split(", ")) - {"options"} == METHODS & set(item), path


@pytest.mark.parametrize(("path", "method", "operation"), operations())
def test_errors_are_problems_with_their_codes(path: str, method: str, operation: dict[str, Any]) -> None:
    needed = {"405", "500"} if "{app}" not in path else {"400", "401", "403", "404", "405", "500", "503"}
    needed |= {"413", "415", "422", "429"} if method == "post" else set()
    assert needed <= set(operation["responses"])
    for status, response in operation["responses"].items():
        if status == "414":  # an answer of the HTTP server, which knows nothing of problem documents
            continue
        content = resolve(response).get("content", {})
        if method != "head" and status >= "400" and path != "/ready":
            assert list(content) == ["application/problem+json"], status
        assert "X-Request-ID" in resolve(response)["headers"]


def test_the_document_is_served_for_where_it_is_mounted(client: testing.TestClient) -> None:
    reply = client.simulate_get("/openapi.json")
    assert reply.headers["content-type"] == "application/json"
    assert reply.json == json.loads(json.dumps(document("1.2.3", "/")))
    assert client.simulate_get("/openapi.json", root_path="/gateway").json["servers"] == [{"url": "/gateway"}]
