"""Figures of the same events are the same from both servers, but for what depends on when they came."""

import json
from typing import Any

import pytest
from tests.serving import Gateway

CHANNEL = "short:figures"
KEY = {"X-API-Key": "full-key"}
DATA = [1, {"price": 2.5}, {"price": 10**30, "text": "x" * 500}, {"price": "3"}, {"price": -4}]


def figures(gateway: Gateway) -> dict[str, Any]:
    query = f"channel={CHANNEL}&field=/price&window=60&bucket=10"
    reply = gateway.request("GET", f"/apps/demo/analytics?{query}", headers=KEY)
    assert reply.status == 200, reply.body
    found = json.loads(reply.body)
    assert sum(found["buckets"]["counts"]) == found["count"]
    assert found["rates"]["all"] == found["rates"]["60"]
    return {
        name: found[name] for name in ("app_id", "channel", "count", "first_offset", "last_offset", "fields", "sizes")
    }


def test_both_servers_have_the_same_figures(server: Gateway, reference: Gateway) -> None:
    for gateway in (server, reference):
        for data in DATA:
            body = json.dumps({"type": "message", "data": data}).encode()
            reply = gateway.request("POST", f"/apps/demo/channels/{CHANNEL}/publish", body, KEY)
            assert reply.status == 200, reply.body
    found = figures(server)
    assert found == figures(reference)
    assert (found["count"], found["first_offset"]) == (3, 3)
    price = {"count": 2, "min": -4, "max": 1e30, "mean": 5e29, "p50": 5e29, "p95": 9.5e29, "p99": 9.9e29}
    assert found["fields"]["/price"] == pytest.approx(price)
