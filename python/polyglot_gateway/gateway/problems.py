"""Errors as replies: problem details of RFC 9457, made by the core so that every server gives the same bytes."""

from __future__ import annotations

import contextlib
from typing import Any

import falcon
import structlog
from falcon.app_helpers import default_serialize_error

from polyglot_gateway._core import CODES, problem_json
from polyglot_gateway.errors import GatewayError, RateLimited, RequestError, TemporaryError
from polyglot_gateway.gateway.parts import CountRefused, RateLimitOf
from polyglot_gateway.gateway.rate_limit import tell_rate_limit
from polyglot_gateway.gateway.request_id import request_id
from polyglot_gateway.gateway.trace_parent import trace_fields

MEDIA_TYPE = "application/problem+json"
CHALLENGE = 'ApiKey realm="polyglot-gateway", header="X-API-Key", Bearer realm="polyglot-gateway"'

_CODE_OF_STATUS = {
    400: "invalid_parameter",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "payload_too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    429: "rate_limited",
    431: "headers_too_large",
    500: "internal_error",
    503: "overloaded",
}

_log = structlog.get_logger("polyglot_gateway.gateway")


def _ids(req: falcon.Request) -> dict[str, str]:
    """What a log line about the request is found by."""
    return {"request_id": request_id(req), **trace_fields(req)}


class Problems:
    """Answers every error that a resource or Falcon raises, counts it and logs what the operator should see."""

    def __init__(self, count_refused: CountRefused, rate_limit: RateLimitOf) -> None:
        self._count_refused = count_refused
        self._rate_limit = rate_limit

    def install(self, app: falcon.App[Any, Any]) -> None:
        """Make `app` answer its errors here."""
        app.add_error_handler(GatewayError, self._on_gateway_error)
        app.add_error_handler(Exception, self._on_exception)
        app.set_error_serializer(self._on_falcon_error)

    def _on_gateway_error(
        self, req: falcon.Request, resp: falcon.Response, error: GatewayError, params: dict[str, Any]
    ) -> None:
        if not isinstance(error, RequestError | TemporaryError):
            self._on_exception(req, resp, error, params)
            return
        if isinstance(error, TemporaryError):
            _log.warning("refused", code=error.code, reason=error.message, path=req.path, **_ids(req))
        self._answer(req, resp, error.code, error.message, error.position, error.retry_after)
        if isinstance(error, RateLimited) and req.method == "POST" and "app" in params:
            tell_rate_limit(resp, self._rate_limit(params["app"]))

    def _on_exception(
        self, req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]
    ) -> None:
        _log.error("unexpected error", exc_info=error, method=req.method, path=req.path, **_ids(req))
        self._answer(
            req, resp, "internal_error", "The gateway failed in a way that was not foreseen; its log says how."
        )

    def _on_falcon_error(self, req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
        code = _CODE_OF_STATUS.get(error.status_code)
        if code is None:  # a status of the user's own resource, for which we have no code
            default_serialize_error(req, resp, error)
        elif code == "not_found":
            self._answer(req, resp, code, error.description or f"There is nothing at {req.path}.")
        elif code == "method_not_allowed":
            allowed = resp.get_header("Allow") or "none"
            self._answer(req, resp, code, f"{req.method} is not possible here; allowed are {allowed}.")
        else:
            self._answer(req, resp, code, error.description or error.title or "The request was refused.")

    def _answer(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        code: str,
        message: str,
        position: int | None = None,
        retry_after: int | None = None,
    ) -> None:
        info = CODES[code]
        resp.status = info.http_status
        resp.content_type = MEDIA_TYPE
        resp.text = resp.stream = None
        resp.data = problem_json(code, message, position, request_id(req))
        if seconds := retry_after or info.retry_after:
            resp.set_header("Retry-After", str(seconds))
        if info.http_status == 401:
            resp.set_header("WWW-Authenticate", CHALLENGE)
        with contextlib.suppress(GatewayError):  # the engine may be the one that failed
            self._count_refused(code)
