"""A collector of traces: takes spans over OTLP/HTTP (opentelemetry.io, "OTLP Specification") and keeps them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2
from tests.serving import wait_until


@dataclass(frozen=True)
class Span:
    """One span; ids are hex digits.

    Attributes:
        service: What made it.
        kind: SERVER or CLIENT.
        parent: Span id; "" for none.
        links: The trace ids.
        error: Whether its status is an error.
    """

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]
    links: list[str]
    error: bool


class Collector:
    """Listens from the beginning.

    Attributes:
        spans: In the order in which they came.
    """

    def __init__(self) -> None:
        self.spans: list[Span] = []
        spans = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.path == "/v1/traces"
                spans.extend(spans_in(request))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def environment(self) -> dict[str, str]:
        """What has a gateway send its spans here, soon."""
        return traces_to(f"http://127.0.0.1:{self._server.server_port}")

    def wait_for(self, what: str, **facts: Any) -> list[Span]:
        """The spans whose name begins like this, and that have these attributes of their own, once there are any."""
        wanted = {"polyglot." + name: value for name, value in facts.items()}

        def found() -> list[Span]:
            return [s for s in list(self.spans) if s.name.startswith(what) and wanted.items() <= s.attributes.items()]

        return wait_until(found, f"a span {what} with {facts} among {[span.name for span in self.spans]}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def traces_to(url: str) -> dict[str, str]:
    """The environment of a gateway that sends its spans there."""
    return {"TRACES": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "50"}


def spans_in(request: ExportTraceServiceRequest) -> list[Span]:
    """What a request to the collector brings."""
    found = []
    for resource in request.resource_spans:
        service = _values(resource.resource.attributes)["service.name"]
        for scope in resource.scope_spans:
            found += [_span(service, span) for span in scope.spans]
    return found


def _span(service: str, span: trace_pb2.Span) -> Span:
    return Span(
        service,
        span.name,
        trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        _values(span.attributes),
        [link.trace_id.hex() for link in span.links],
        span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {pair.key: _value(pair) for pair in attributes}


def _value(pair: KeyValue) -> Any:
    return getattr(pair.value, pair.value.WhichOneof("value"))
