"""A span for each request that Falcon answers, as OpenTelemetry's semantic conventions for HTTP have it.

Needs the extra `otel`. A stream's span ends where the stream begins.
"""

from __future__ import annotations

import contextlib
from typing import Any

import falcon
from falcon.constants import HTTP_METHODS
from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

from polyglot_gateway.gateway.request_id import request_id

_KEPT = "polyglot_gateway.span"


class RequestSpans:
    """Falcon's middleware. The query is left out of spans, as it may hold a token."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Begin the span; its parent is what the request names (field traceparent, unless OTEL_PROPAGATORS says so)."""
        attributes: dict[str, str | int] = {
            "http.request.method": req.method if req.method in HTTP_METHODS else "_OTHER",
            "url.scheme": req.scheme,
            "url.path": req.root_path + req.path,
            "polyglot.request_id": request_id(req),
        }
        with contextlib.suppress(ValueError):  # a port in Host that is no number, or left out behind its colon
            attributes |= {"server.address": req.host, "server.port": req.port}
        parent = propagate.extract(req.env, Context(), _FIELDS)
        req.env[_KEPT] = self._tracer.start_span(_name(req), parent, SpanKind.SERVER, attributes)

    def process_response(self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: bool) -> None:
        """End it, by the name of the route that it has taken."""
        span: Span | None = req.env.pop(_KEPT, None)
        if span is None:
            return
        if req.uri_template:
            span.update_name(f"{_name(req)} {req.uri_template}")
            span.set_attribute("http.route", req.uri_template)
        span.set_attribute("http.response.status_code", resp.status_code)
        if resp.status_code >= 500:
            span.set_attribute("error.type", str(resp.status_code))
            span.set_status(StatusCode.ERROR)
        span.end()


def _name(req: falcon.Request) -> str:
    return req.method if req.method in HTTP_METHODS else "HTTP"


class _Fields(Getter[dict[str, Any]]):
    """Header fields in a WSGI environment (PEP 3333)."""

    def get(self, carrier: dict[str, Any], key: str) -> list[str] | None:
        value = carrier.get("HTTP_" + key.upper().replace("-", "_"))
        return None if value is None else [value]

    def keys(self, carrier: dict[str, Any]) -> list[str]:
        return [name[5:].replace("_", "-").lower() for name in carrier if name.startswith("HTTP_")]


_FIELDS = _Fields()
