"""Spans, as a collector gets them: whose they are, what they say, and that nobody waits for who takes them."""

import contextlib
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.collector import Collector, Span, traces_to
from tests.processor_service import ProcessorService
from tests.redis_server import VOLATILE, RedisServer
from tests.serving import Gateway, free_port

Start = Callable[..., Gateway]
TRACES = [f"{number:032x}" for number in range(1, 4)]
CALLER = "00f067aa0ba902b7"
PUBLISH = "/apps/demo/channels/room:1/publish"
BODY = json.dumps({"type": "message", "data": 1}).encode()
FUNCTION = """
from polyglot_gateway.processor.base import ACCEPT, reject

def process(events):
    return [reject("it is bad") if event.json() == "bad" else ACCEPT for event in events]
"""
SAYS_WHETHER = """
import sys
from polyglot_gateway.processor.base import reject

def process(events):
    return [reject(str("opentelemetry" in sys.modules))] * len(events)
"""


@pytest.fixture(params=["native", "wsgi"])
def server(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture
def service(tmp_path: Path, collector: Collector) -> Iterator[ProcessorService]:
    (tmp_path / "judges.py").write_text(FUNCTION)
    service = ProcessorService(tmp_path, "judges:process", environment=collector.environment)
    yield service.wait_until_ready()
    service.kill_everything()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis", *VOLATILE)
    yield server
    server.close()


@contextlib.contextmanager
def silent_collector() -> Iterator[str]:
    """The URL of one that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def of_trace(trace: str) -> dict[str, str]:
    return {"traceparent": f"00-{trace}-{CALLER}-01"}


def publish(gateway: Gateway, trace: str, body: bytes = BODY) -> int:
    return gateway.request("POST", PUBLISH, body, of_trace(trace)).status


# Requests


def test_a_request_has_a_span_whose_parent_is_the_callers(start: Start, server: str, collector: Collector) -> None:
    gateway = start("--server", server, **collector.environment)
    answer = gateway.request("GET", "/apps/demo/limits?key=secret", headers=of_trace(TRACES[0]))
    (span,) = collector.wait_for("GET /apps/{app}/limits", request_id=answer.headers["X-Request-ID"])
    assert (span.kind, span.trace, span.parent, span.error) == ("SERVER", TRACES[0], CALLER, False)
    assert span.service == "polyglot-gateway"
    said = {
        "http.request.method": "GET",
        "http.route": "/apps/{app}/limits",
        "http.response.status_code": 200,
        "url.path": "/apps/demo/limits",
        "url.scheme": "http",
        "server.address": "127.0.0.1",
        "server.port": gateway.port,
    }
    assert said.items() <= span.attributes.items()
    assert "secret" not in str(span)


def test_a_publish_that_falcon_answers_has_one(start: Start, collector: Collector) -> None:
    gateway = start("--server", "wsgi", OTEL_SERVICE_NAME="rooms", **collector.environment)
    assert publish(gateway, TRACES[0]) == 200
    (span,) = collector.wait_for("POST /apps/{app}/channels/{channel}/publish")
    assert (span.service, span.trace, span.parent) == ("rooms", TRACES[0], CALLER)


def test_a_request_without_a_trace_begins_one(start: Start, server: str, collector: Collector) -> None:
    start("--server", server, **collector.environment).request("GET", "/apps/demo/limits")
    (span,) = collector.wait_for("GET /apps/{app}/limits")
    assert span.parent == ""
    assert int(span.trace, 16)


def test_the_sampler_is_opentelemetrys_own(start: Start, server: str, collector: Collector) -> None:
    gateway = start("--server", server, **collector.environment)
    gateway.request("GET", "/apps/demo/limits", headers={"traceparent": f"00-{TRACES[0]}-{CALLER}-00"})
    gateway.request("GET", "/apps/demo/limits", headers=of_trace(TRACES[1]))
    collector.wait_for("GET /apps/{app}/limits")
    gateway.stop()
    assert TRACES[0] not in [span.trace for span in collector.spans]


# Batches of the processor


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_batch_has_a_span_here_and_one_there(
    start: Start, server: str, collector: Collector, service: ProcessorService, protocol: str
) -> None:
    where = {"PROCESSOR_URL": service.url, "PROCESSOR_GRPC_PORT": str(service.grpc_port)}
    gateway = start("--server", server, USE_GRPC=str(protocol == "grpc").lower(), **where, **collector.environment)
    assert publish(gateway, TRACES[0]) == 200
    assert publish(gateway, TRACES[1], b'{"type":"message","data":"bad"}') == 422
    (accepted,) = collector.wait_for("process batch", accepted=1, endpoint=endpoint_of(service, protocol))
    (rejected,) = collector.wait_for("process batch", rejected=1, endpoint=endpoint_of(service, protocol))
    assert (accepted.links, rejected.links) == ([TRACES[0]], [TRACES[1]])
    assert (accepted.kind, accepted.parent, accepted.error) == ("CLIENT", "", False)
    assert accepted.attributes["polyglot.protocol"] == protocol
    assert accepted.attributes["polyglot.events"] == 1
    port = service.grpc_port if protocol == "grpc" else service.http_port
    assert (accepted.attributes["server.address"], accepted.attributes["server.port"]) == ("127.0.0.1", port)

    def served() -> list[Span]:
        return [span for span in collector.wait_for("process batch", accepted=1) if span.kind == "SERVER"]

    gateway.stop()
    service.stop()
    (there,) = served()
    assert (there.service, there.trace, there.parent) == ("polyglot-processor", accepted.trace, accepted.id)
    assert there.links == [TRACES[0]]


def test_a_batch_that_nobody_takes_is_an_error(start: Start, server: str, collector: Collector) -> None:
    gateway = start("--server", server, PROCESSOR_URL=f"http://127.0.0.1:{free_port()}", **collector.environment)
    assert publish(gateway, TRACES[0]) == 503
    (span,) = collector.wait_for("process batch")
    assert (span.error, span.links) == (True, [TRACES[0]])
    assert span.attributes["error.type"] == "processor_unavailable"
    if server == "wsgi":
        (request,) = collector.wait_for("POST ")
        assert request.error
        assert request.attributes["error.type"] == "503"


def test_a_batch_of_many_has_a_link_to_each_trace(
    start: Start, collector: Collector, service: ProcessorService
) -> None:
    gateway = start(PROCESSOR_URL=service.url, **collector.environment)
    event = {"channel": "room:1", "type": "message", "data": 1}
    body = json.dumps({"events": [event, event]}).encode()
    assert gateway.request("POST", "/apps/demo/publish", body, of_trace(TRACES[0])).status == 200
    (span,) = collector.wait_for("process batch", events=2, endpoint=service.url)
    assert span.links == [TRACES[0]]


# Appends to Redis


def test_appends_have_a_span(start: Start, server: str, collector: Collector, redis: RedisServer) -> None:
    gateway = start("--server", server, REDIS_URL=redis.url, **collector.environment)
    for trace in TRACES:  # also those after the first, which the server's thread could send by itself
        assert publish(gateway, trace) == 200
    gateway.stop()
    spans = collector.wait_for("FCALL polyglot_2_append", events=1)
    assert sorted(span.links for span in spans) == [[trace] for trace in TRACES]
    for span in spans:
        assert (span.kind, span.error, span.attributes["db.system.name"]) == ("CLIENT", False, "redis")


def test_an_append_that_redis_refuses_is_an_error(
    start: Start, server: str, collector: Collector, redis: RedisServer
) -> None:
    gateway = start("--server", server, REDIS_URL=redis.url, **collector.environment)
    redis.client.config_set("maxmemory", "1")
    assert publish(gateway, TRACES[0]) == 503
    (span,) = collector.wait_for("FCALL polyglot_2_append", events=1)
    assert (span.error, span.links) == (True, [TRACES[0]])
    assert span.attributes["error.type"] == "engine_unavailable"


# When nobody takes them, and at the end


@pytest.mark.parametrize("silent", [True, False])
def test_a_collector_that_is_away_holds_up_nobody(start: Start, server: str, silent: bool) -> None:
    with silent_collector() as listening:
        url = listening if silent else f"http://127.0.0.1:{free_port()}"
        queue = {"OTEL_BSP_MAX_QUEUE_SIZE": "20", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10"}
        patience = {"OTEL_EXPORTER_OTLP_TIMEOUT": "60"}  # whom it held up would wait for that
        gateway = start("--server", server, "--workers", "1", **traces_to(url), **queue, **patience)
        began = time.monotonic()
        for _ in range(100):
            assert gateway.request("GET", "/apps/demo/limits").status == 200
            assert publish(gateway, TRACES[0]) == 200
        assert time.monotonic() - began < 15
        began = time.monotonic()
        assert gateway.stop() == 0
        assert time.monotonic() - began < 15
    said = re.findall(r"opentelemetry\.", gateway.log.read_text())
    assert len(said) <= 6, gateway.log.read_text()
    assert "Traceback" not in gateway.log.read_text()


def test_what_was_not_sent_yet_is_sent_at_the_end(start: Start, server: str, collector: Collector) -> None:
    gateway = start("--server", server, **{**collector.environment, "OTEL_BSP_SCHEDULE_DELAY": "3600000"})
    gateway.request("GET", "/apps/demo/limits", headers=of_trace(TRACES[0]))
    assert not collector.spans
    assert gateway.stop() == 0
    assert TRACES[0] in [span.trace for span in collector.spans]


# On and off


@pytest.mark.parametrize("traces", ["off", "otlp"])
def test_nothing_of_it_is_imported_unless_it_is_on(start: Start, tmp_path: Path, server: str, traces: str) -> None:
    (tmp_path / "says.py").write_text(SAYS_WHETHER)
    with silent_collector() as url:
        environment = {**traces_to(url), "TRACES": traces}
        gateway = start("--server", server, PROCESSOR_FUNCTION="says:process", **environment)
        answer = gateway.request("POST", PUBLISH, BODY)
        assert str(traces == "otlp") in answer.body.decode()
        # Nor is it in the master, where gevent has not patched yet what it imports.
        assert "Warning" not in gateway.log.read_text()


def test_without_the_extra_it_says_what_to_install(spawn: Start, tmp_path: Path) -> None:
    # A package of this name that has nothing in it goes before the real one.
    (tmp_path / "hidden" / "opentelemetry").mkdir(parents=True)
    (tmp_path / "hidden" / "opentelemetry" / "__init__.py").touch()
    gateway = spawn(TRACES="otlp", PYTHONPATH=str(tmp_path / "hidden"))
    assert gateway.process.wait(20) == 1
    (line,) = gateway.log.read_text().splitlines()
    assert line.startswith("polyglot: traces: OpenTelemetry cannot be used")
    assert line.endswith("pip install 'polyglot-gateway[otel]'")


@pytest.mark.parametrize("name", ["OTEL_PROPAGATORS", "OTEL_SPAN_LINK_COUNT_LIMIT"])
def test_a_wrong_variable_of_its_own_ends_the_start(spawn: Start, name: str) -> None:
    gateway = spawn("--workers", "1", TRACES="otlp", **{name: "wrong"})
    assert gateway.process.wait(20) != 0
    assert "polyglot: traces: OpenTelemetry does not start: " in gateway.log.read_text()


def endpoint_of(service: ProcessorService, protocol: str) -> str:
    return f"grpc://{service.grpc_target}" if protocol == "grpc" else service.url
