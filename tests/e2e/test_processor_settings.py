"""A gateway that is to have a processor, as a user starts it."""

import json
from collections.abc import Callable

import pytest
from tests.serving import PATIENCE, Gateway, free_port

GRPC = {"USE_GRPC": "true", "GO_PROCESSOR_GRPC_PORT": "9191"}


@pytest.mark.parametrize("server", ["native", "wsgi"])
@pytest.mark.parametrize(("how", "more"), [("http", {}), ("grpc", GRPC)])
def test_each_worker_opens_the_processor_for_itself(
    start: Callable[..., Gateway], server: str, how: str, more: dict[str, str]
) -> None:
    port = free_port()
    gateway = start("--server", server, GO_PROCESSOR_URL=f"http://127.0.0.1:{port}", **more)
    told = json.loads(gateway.request("GET", "/api/debug/circuit-breaker").body)
    endpoints = [endpoint["endpoint"] for endpoint in told["endpoints"]]
    by_grpc = ["grpc://127.0.0.1:9191"] if how == "grpc" else []
    assert (told["processor"], told["state"], endpoints) == (how, "closed", [*by_grpc, f"http://127.0.0.1:{port}"])
    assert gateway.stop() == 0
    # gevent says so when what it has to patch was imported before.
    assert "Warning" not in gateway.log.read_text()


@pytest.mark.parametrize("server", ["native", "wsgi"])
def test_a_function_that_is_not_there_ends_the_start(spawn: Callable[..., Gateway], server: str) -> None:
    gateway = spawn("--server", server, "--workers", "8", PROCESSOR_FUNCTION="nowhere:process")
    assert gateway.process.wait(PATIENCE) == 3
    assert "Traceback" not in gateway.log.read_text()
    assert "polyglot: processor_function: 'nowhere:process': cannot import nowhere: " in gateway.log.read_text()
