"""Stock gunicorn and Falcon: what a publish costs beside a route of the same application that answers a constant."""

import statistics

import pytest
from gates.gunicorn_server import CONNECTIONS, Client, Server

# Short rounds, so that the machine is the same for both sides of one.
REQUESTS = 100
ROUNDS = 481


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path, "gevent")
    yield server
    server.close()


@pytest.fixture
def client(server):
    client = Client(server.port)
    yield client
    client.close()


def test_a_publish_costs_little_more_than_a_constant(benchmark, report, server, client, event):
    def cost(path: str) -> float:
        """CPU seconds of the worker for one request."""
        before = server.cpu_seconds()
        client.post(path, event, REQUESTS)
        return (server.cpu_seconds() - before) / REQUESTS

    publish, constant = "/apps/demo/channels/room:test/publish", "/constant"
    for path in (publish, constant):
        cost(path)
    rounds = [(cost(publish), cost(constant)) for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(side) * 1e6 for side in zip(*rounds, strict=True))
    ratio = report(
        [publish / constant for publish, constant in rounds],
        "<= 1.1",
        cpu_us_per_publish=ours,
        cpu_us_per_constant=theirs,
    )
    benchmark.pedantic(client.post, (publish, event, CONNECTIONS), rounds=20, iterations=5)
    assert ratio <= 1.1, benchmark.extra_info
