"""/metrics of a running gateway: all workers together, and what becomes of it when one is killed."""

import contextlib
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.raw_http import RawConnection
from tests.serving import Gateway
from tests.websocket import WebSocket

SERVERS = ["native", "wsgi"]


def samples(gateway: Gateway) -> dict[tuple[str, ...], float]:
    reply = gateway.request("GET", "/metrics")
    assert reply.status == 200
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(reply.body.decode())
        for sample in family.samples
    }


@pytest.mark.parametrize("server", SERVERS)
def test_what_is_published_and_delivered_is_counted(
    start: Callable[..., Gateway], wait_until: Callable[..., Any], server: str
) -> None:
    gateway = start("--server", server)
    wait_until(lambda: samples(gateway)["polyglot_workers",] == 2, "two workers")
    streams = [gateway.subscribe("room:1") for _ in range(3)]
    for number in range(4):
        gateway.publish("room:1", number)
    for stream in streams:
        for _ in range(4):
            stream.next()
    assert gateway.request("POST", "/apps/demo/channels/room:1/publish", b"{").status == 400

    def told() -> dict[tuple[str, ...], float] | None:
        found = samples(gateway)
        return found if found["polyglot_app_deliveries_total", "demo"] == 12 else None

    found = wait_until(told, "the deliveries")
    assert found["polyglot_publishes_total",] == found["polyglot_app_publishes_total", "demo"] == 4
    assert found["polyglot_refused_total", "invalid_json"] == 1
    assert found["polyglot_responses_total", "4xx"] == 1
    assert found["polyglot_responses_total", "2xx"] >= 7
    assert found["polyglot_delivery_bytes_total",] > 12 * 100
    assert found["polyglot_delivery_lag_seconds_count",] >= 3
    assert found["polyglot_worker_starts_total",] == 2
    assert (found["polyglot_ready",], found["polyglot_engine_up",], found["polyglot_processor_up",]) == (1, 1, 1)
    for stream in streams:
        stream.close()


@pytest.mark.parametrize("server", SERVERS)
def test_connections_are_those_of_all_workers_and_of_the_living_alone(
    start: Callable[..., Gateway], wait_until: Callable[..., Any], server: str
) -> None:
    gateway = start("--server", server)
    wait_until(lambda: samples(gateway)["polyglot_workers",] == 2, "two workers")
    with contextlib.ExitStack() as stack:
        # As many as it takes until either worker has some.
        for _ in range(12):
            stack.callback(gateway.subscribe("room:1").close)
        count = lambda: samples(gateway)["polyglot_connections", "sse"]  # noqa: E731
        wait_until(lambda: count() == 12, "twelve streams")
        assert samples(gateway)["polyglot_subscriptions",] == 12
        published = gateway.publish("room:1", 1) and samples(gateway)["polyglot_publishes_total",]
        for pid in gateway.workers():
            os.kill(pid, signal.SIGKILL)
        wait_until(gateway.is_ready, "new workers")
        wait_until(lambda: samples(gateway)["polyglot_workers",] == 2, "two new workers")
        found = samples(gateway)
        assert found["polyglot_connections", "sse"] == 0
        assert found["polyglot_subscriptions",] == 0
        assert found["polyglot_publishes_total",] == published
        assert found["polyglot_worker_starts_total",] >= 4


def test_each_kind_of_connection_is_counted_until_it_ends(
    start: Callable[..., Gateway], wait_until: Callable[..., Any]
) -> None:
    gateway = start()
    kinds = ("websocket", "sse", "longpoll")
    found = lambda: tuple(int(samples(gateway)["polyglot_connections", kind]) for kind in kinds)  # noqa: E731
    socket = WebSocket(gateway.port)
    stream = gateway.subscribe("room:1")
    opened = gateway.request("GET", "/socket/longpoll?vsn=2.0.0&app_id=demo&token=valid_key_demo")
    assert b"longpoll-" in opened.body
    idle = RawConnection(gateway.port)
    wait_until(lambda: found() == (1, 1, 1), "one of each")
    wait_until(lambda: samples(gateway)["polyglot_connections", "http"] >= 1, "the one that asks nothing")
    idle.close()
    socket.close()
    stream.close()
    wait_until(lambda: found()[:2] == (0, 0), "both to be gone")
