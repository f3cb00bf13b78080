"""/metrics counts what clients do alike, whichever server they talk to."""

import contextlib
import json

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.serving import Gateway, Stream, wait_until

EVENT = {"type": "message", "data": 1}
WRITES = {"X-API-Key": "writer-key"}


def samples(server: Gateway) -> dict[tuple[str, ...], float]:
    body = server.request("GET", "/metrics").body.decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }


def publish(server: Gateway, body: object, **headers: str) -> int:
    path = "/apps/demo/channels/public:metrics/publish"
    return server.request("POST", path, json.dumps(body).encode(), {**WRITES, **headers}).status


def test_requests_are_counted_by_what_became_of_them(server: Gateway) -> None:
    before = samples(server)
    assert [publish(server, EVENT) for _ in range(3)] == [200] * 3
    batch = {
        "events": [
            {"channel": "public:counted", **EVENT},
            {"channel": "public:counted-too", **EVENT},
            {"channel": "public:c"},
        ]
    }
    assert server.request("POST", "/apps/demo/publish", json.dumps(batch).encode(), WRITES).status == 200
    assert publish(server, {"type": "message"}) == 400
    assert publish(server, EVENT, **{"X-API-Key": "nobody's"}) == 401
    assert server.request("GET", "/apps/demo/channels/public:metrics/history").status == 200
    after = samples(server)
    grown = {key: value - before.get(key, 0.0) for key, value in after.items() if value != before.get(key, 0.0)}
    assert grown["polyglot_publishes_total",] == grown["polyglot_app_publishes_total", "demo"] == 5
    assert grown["polyglot_publish_bytes_total",] == grown["polyglot_app_publish_bytes_total", "demo"] > 5 * 100
    assert grown["polyglot_refused_total", "invalid_event"] == 2
    assert grown["polyglot_refused_total", "unauthorized"] == 1
    assert grown["polyglot_responses_total", "2xx"] == 5 + 1  # and the first one for metrics
    assert grown["polyglot_responses_total", "4xx"] == 2
    assert ("polyglot_responses_total", "5xx") not in grown
    assert grown["polyglot_publish_seconds_count",] == 4


def test_the_processor_and_redis_are_timed_where_they_are(server: Gateway, server_name: str) -> None:
    before = samples(server)
    assert publish(server, EVENT) == 200
    after = samples(server)
    grown = {name for (name, *_), value in after.items() if value > before.get((name, *_), 0.0)}
    assert ("polyglot_processor_call_seconds_count" in grown) == server_name.endswith("processor")
    assert ("polyglot_redis_append_seconds_count" in grown) == server_name.endswith("redis")


def test_deliveries_are_counted_once_for_each_reader(server: Gateway) -> None:
    before = samples(server)
    path = "/apps/demo/channels/public:delivered/events"
    with contextlib.ExitStack() as stack:
        streams = [Stream(server.port, path, "") for _ in range(3)]
        for stream in streams:
            stack.callback(stream.close)
        body = json.dumps({"channels": ["public:delivered"], **EVENT}).encode()
        for _ in range(2):
            assert server.request("POST", "/apps/demo/broadcast", body, WRITES).status == 200
        for stream in streams:
            assert [stream.next()[1]["data"] for _ in range(2)] == [1, 1]

        def delivered() -> float:
            key = ("polyglot_app_deliveries_total", "demo")
            return samples(server)[key] - before.get(key, 0.0)

        wait_until(lambda: delivered() >= 6, "the deliveries to be counted")
        assert delivered() == 6
        for name in (("polyglot_connections", "sse"), ("polyglot_subscriptions",)):
            # The WSGI server may not have seen yet that readers of before have gone; there may be no more than these.
            wait_until(lambda name=name: 3 <= samples(server)[name] <= 3 + before[name], "three streams")


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
def test_it_is_written_as_the_scraper_wants_it(server: Gateway, accept: str) -> None:
    reply = server.request("GET", "/metrics", headers={"Accept": accept})
    assert reply.status == 200
    assert reply.getheader("Content-Type").startswith(accept.partition(";")[0])
    assert reply.body.endswith(b"# EOF\n") == accept.startswith("application")
