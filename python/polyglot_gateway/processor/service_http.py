"""The processor over HTTP, as a WSGI application."""

from __future__ import annotations

import json
from typing import Any

import falcon
import structlog

from polyglot_gateway.errors import GatewayError, InvalidJson, PayloadTooLarge, ProcessorUnavailable, RequestError
from polyglot_gateway.processor.base import MOST_BYTES
from polyglot_gateway.processor.json_wire import read_event, read_events, write_verdict, write_verdicts
from polyglot_gateway.processor.problems import MEDIA_TYPE, PROBLEMS, problem_json
from polyglot_gateway.processor.service import Service

WsgiApp = falcon.App[Any, Any]

_CODE_OF_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "payload_too_large"}

_log = structlog.get_logger("polyglot_gateway.processor")


def create_app(service: Service) -> WsgiApp:
    """Return the application with every route."""
    app: WsgiApp = falcon.App()
    problems = _Problems(service)
    app.add_error_handler(Exception, problems.on_exception)
    app.add_error_handler(GatewayError, problems.on_gateway_error)
    app.add_error_handler(falcon.HTTPError, problems.on_falcon_error)
    app.add_route("/process", _Process(service))
    app.add_route("/process-batch", _ProcessBatch(service))
    app.add_route("/health", _Health(service))
    app.add_route("/metrics", _Metrics(service))
    app.add_route("/stats", _Stats(service))
    return app


class _Process:
    def __init__(self, service: Service) -> None:
        self._service = service

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        event = read_event(_body(req))
        (verdict,) = self._service.process([event], "http", lambda: req.headers_lower)
        resp.data = write_verdict(event, verdict)


class _ProcessBatch:
    def __init__(self, service: Service) -> None:
        self._service = service

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        events = read_events(_body(req))
        resp.data = write_verdicts(events, self._service.process(events, "http", lambda: req.headers_lower))


class _Health:
    def __init__(self, service: Service) -> None:
        self._service = service

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        if self._service.draining:
            resp.status = 503
            resp.data = b'{"status":"draining"}'
        else:
            resp.data = b'{"status":"ok"}'


class _Metrics:
    def __init__(self, service: Service) -> None:
        self._service = service

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.data, resp.content_type = self._service.meters.exposition(req.accept)


class _Stats:
    def __init__(self, service: Service) -> None:
        self._service = service

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.data = json.dumps(self._service.rollups.report()).encode()


class _Problems:
    def __init__(self, service: Service) -> None:
        self._service = service

    def on_gateway_error(
        self, req: falcon.Request, resp: falcon.Response, error: GatewayError, params: dict[str, Any]
    ) -> None:
        if isinstance(error, ProcessorUnavailable):
            self._answer(resp, "processor_failed", error.message)
        elif isinstance(error, RequestError):
            self._answer(resp, error.code, error.message, error.position)
        else:
            self.on_exception(req, resp, error, params)

    def on_falcon_error(
        self, req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: dict[str, Any]
    ) -> None:
        code = _CODE_OF_STATUS.get(error.status_code, "invalid_event")
        if error.headers is not None:
            resp.set_headers(error.headers)
        self._answer(resp, code, error.description or f"{req.method} {req.path} is not possible.")

    def on_exception(
        self, req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]
    ) -> None:
        _log.error("unexpected error", exc_info=error, method=req.method, path=req.path)
        self._answer(resp, "internal_error", "The processor failed in a way that was not foreseen; its log says how.")

    def _answer(self, resp: falcon.Response, code: str, message: str, position: int | None = None) -> None:
        self._service.meters.failed(code)
        resp.status = PROBLEMS[code].http_status
        resp.content_type = MEDIA_TYPE
        resp.data = problem_json(code, message, position)


def _body(req: falcon.Request) -> bytes:
    """The body, be its length declared or chunked."""
    length = req.content_length
    if length is not None and length > MOST_BYTES:
        raise PayloadTooLarge(f"The body has {length} bytes; at most {MOST_BYTES} are taken.")
    try:
        body: bytes = req.stream.read(MOST_BYTES + 1 if length is None else length)
    except Exception as error:  # gunicorn has its own classes for a connection that ends early
        raise InvalidJson("The body could not be read to its end.") from error
    if len(body) > MOST_BYTES:
        raise PayloadTooLarge(f"The body has more than {MOST_BYTES} bytes, which are the most that are taken.")
    if length is not None and len(body) < length:
        raise InvalidJson(f"The body ends after {len(body)} of {length} bytes.", len(body))
    return body
