"""Spans of requests, as the SDK keeps them."""

import falcon
import falcon.testing
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from polyglot_gateway.gateway.request_spans import RequestSpans
from polyglot_gateway.gateway.router import CHANNEL, ChannelRouter

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Answers:
    def on_get(self, req, resp, **names):
        resp.status = int(req.get_param("status") or 200)


class Raises:
    def on_get(self, req, resp):
        raise ValueError("no")


@pytest.fixture
def memory():
    return InMemorySpanExporter()


@pytest.fixture
def client(memory):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    app = falcon.App(router=ChannelRouter(), middleware=RequestSpans(provider.get_tracer("test")))
    app.add_route("/answers/{number}", Answers())
    app.add_route("/raises", Raises())
    app.add_route(f"{CHANNEL}/history", Answers())
    return falcon.testing.TestClient(app)


def the_only(memory):
    (span,) = memory.get_finished_spans()
    return span


def test_the_name_is_the_route_and_not_the_path(client, memory):
    client.simulate_get("/answers/7", host="example.org", headers={"X-Request-ID": "mine"})
    span = the_only(memory)
    assert (span.name, span.kind, span.parent) == ("GET /answers/{number}", SpanKind.SERVER, None)
    assert dict(span.attributes) == {
        "http.request.method": "GET",
        "http.route": "/answers/{number}",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/answers/7",
        "server.address": "example.org",
        "server.port": 80,
        "polyglot.request_id": "mine",
    }
    assert span.status.is_unset


@pytest.mark.parametrize("host", ["example.org:", "example.org:http"])
def test_a_host_that_cannot_be_read_is_left_out(client, memory, host):
    assert client.simulate_get("/answers/7", headers={"Host": host}).status_code == 200
    assert the_only(memory).attributes.keys().isdisjoint({"server.address", "server.port"})


def test_channels_with_slashes_have_one_route(client, memory):
    client.simulate_get("/apps/demo/channels/a/b/history")
    assert the_only(memory).name == f"GET {CHANNEL}/history"


def test_the_parent_is_the_callers_span(client, memory):
    client.simulate_get("/answers/7", headers={"traceparent": TRACEPARENT, "tracestate": "a=1"})
    parent = the_only(memory).parent
    assert (f"{parent.trace_id:x}", f"{parent.span_id:016x}") == (TRACEPARENT[3:35], TRACEPARENT[36:52])
    assert parent.trace_state == {"a": "1"}


@pytest.mark.parametrize("given", ["nonsense", TRACEPARENT.replace("4736", "473"), "00-" + "0" * 32 + TRACEPARENT[35:]])
def test_a_malformed_field_is_no_parent(client, memory, given):
    client.simulate_get("/answers/7", headers={"traceparent": given})
    assert the_only(memory).parent is None


def test_what_takes_no_route_has_the_method_alone(client, memory):
    client.simulate_get("/nowhere")
    span = the_only(memory)
    assert (span.name, span.attributes["http.response.status_code"]) == ("GET", 404)
    assert "http.route" not in span.attributes
    assert span.status.is_unset  # the client's mistake


def test_methods_that_nobody_knows_make_no_names(client, memory):
    client.app(falcon.testing.create_environ(path="/nowhere") | {"REQUEST_METHOD": "BREW"}, lambda *_: None)
    span = the_only(memory)
    assert (span.name, span.attributes["http.request.method"]) == ("HTTP", "_OTHER")


@pytest.mark.parametrize("path", ["/answers/7?status=503", "/raises"])
def test_what_is_the_servers_fault_is_an_error(client, memory, path):
    client.simulate_get(path)
    span = the_only(memory)
    status = span.attributes["http.response.status_code"]
    assert status in (500, 503)
    assert span.attributes["error.type"] == str(status)
    assert not span.status.is_ok
    assert not span.status.is_unset


def test_the_query_stays_out(client, memory):
    client.simulate_get("/answers/7?token=secret")
    assert "secret" not in the_only(memory).to_json()


def test_a_mounted_application_says_the_whole_path(client, memory):
    client.simulate_get("/answers/7", root_path="/inner")
    assert the_only(memory).attributes["url.path"] == "/inner/answers/7"
