import contextlib
from collections.abc import Callable

import jsonschema_rs
import pytest
from falcon import testing
from tests.peers import event

from polyglot_gateway.errors import ProcessorUnavailable
from polyglot_gateway.gateway.create_app import WsgiApp
from polyglot_gateway.gateway.openapi_components import schemas
from polyglot_gateway.processor.open import open_processor


def test_where_nothing_is_elsewhere_there_is_no_breaker(stranger: testing.TestClient) -> None:
    reply = stranger.simulate_get("/api/debug/circuit-breaker")
    assert reply.json == {"enabled": False, "processor": "embedded", "state": "closed"}


def test_the_breakers_of_the_processor_are_told_as_described(make_app: Callable[..., WsgiApp]) -> None:
    described = jsonschema_rs.Draft202012Validator(
        {"$ref": "#/components/schemas/CircuitBreaker", "components": {"schemas": schemas()}}, validate_formats=True
    )
    states = []
    with contextlib.closing(open_processor("http", ["http://127.0.0.1:1"], breaker_failures=1)) as processor:
        client = testing.TestClient(make_app(breaker=processor.breaker))
        for _ in range(2):
            told = client.simulate_get("/api/debug/circuit-breaker").json
            described.validate(told)
            states.append((told["enabled"], told["processor"], told["state"], told["endpoints"][0]["failures"]))
            with pytest.raises(ProcessorUnavailable):
                processor.process([event()])
    assert states == [(True, "http", "closed", 0), (True, "http", "open", 1)]
