"""The native server beside stock gunicorn with gevent, the same application on both, in turn."""

import statistics

import pytest
from gates.gunicorn_server import Client, Server

CONNECTIONS = 50  # as the budgets have it: with few, each request wakes both threads for itself alone
REQUESTS = 1000
ROUNDS = 21
NATIVE = "polyglot_gateway.server.worker.NativeWorker"


@pytest.fixture
def servers(tmp_path):
    """(server, client) of the native and of the stock one."""
    found = []
    for name, worker_class in (("native", NATIVE), ("stock", "gevent")):
        (tmp_path / name).mkdir()
        server = Server(tmp_path / name, worker_class)
        found.append((server, Client(server.port, CONNECTIONS)))
    yield found
    for server, client in found:
        client.close()
        server.close()


@pytest.fixture
def compare(servers, report, benchmark):
    """Asserts that a request costs the stock server at least `factor` times the CPU time of the native one."""

    def gate(factor, request):
        def cost(side):
            server, client = side
            before = server.cpu_seconds()
            request(client, REQUESTS)
            return (server.cpu_seconds() - before) / REQUESTS

        for side in servers:
            cost(side)
        rounds = [[cost(side) for side in servers] for _ in range(ROUNDS)]
        ours, theirs = (statistics.median(side) * 1e6 for side in zip(*rounds, strict=True))
        ratios = [stock / native for native, stock in rounds]
        ratio = report(ratios, f">= {factor}", cpu_us_native=ours, cpu_us_stock=theirs)
        benchmark.pedantic(request, (servers[0][1], CONNECTIONS), rounds=20, iterations=5)
        assert ratio >= factor, benchmark.extra_info

    return gate


def test_a_publish_costs_a_tenth(compare, event):
    compare(10, lambda client, requests: client.post("/apps/demo/channels/room:test/publish", event, requests))


def test_a_falcon_route_costs_a_quarter(compare):
    """The budget is a sixth, of a client that keeps the server busy all the time (benchmarks/peers); this one waits."""
    compare(4.5, lambda client, requests: client.get("/api/debug/circuit-breaker", requests))
