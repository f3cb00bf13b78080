"""The description of the REST interface: an OpenAPI 3.1 document."""

from __future__ import annotations

from polyglot_gateway._core import CODES
from polyglot_gateway.gateway.openapi_components import Json, channel, headers, offset, parameters, ref, schemas

_CHANNEL = "/apps/{app}/channels/{channel}"

_EVERYWHERE = ("method_not_allowed", "internal_error")
_READING = (
    "invalid_app",
    "unauthorized",
    "token_expired",
    "forbidden",
    "not_found",
    "engine_unavailable",
    *_EVERYWHERE,
)
_WRITING = (
    *_READING,
    "invalid_json",
    "invalid_event",
    "invalid_parameter",
    "payload_too_large",
    "unsupported_media_type",
    "idempotency_mismatch",
    "event_rejected",
    "processor_unavailable",
    "rate_limited",
    "overloaded",
)

_RATE_LIMIT = ("RateLimit-Policy", "RateLimit")


def document(version: str, root: str) -> Json:
    """Return the document.

    Args:
        version: Of the gateway.
        root: Where the application is mounted: SCRIPT_NAME, or "/".
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Polyglot Gateway",
            "version": version,
            "summary": "Publish events, read their history, follow them as they come.",
            "description": "Every event of a channel has an offset, one more than the one before. The epoch of a "
            "channel changes when its past is gone. Every error has a stable `code` and says in `error` what is wrong. "
            "Phoenix Channels v2 are spoken at /socket/websocket and /socket/longpoll, which are not described here.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": root}],
        "tags": [{"name": "events"}, {"name": "channels"}, {"name": "operation"}],
        "paths": {
            f"{_CHANNEL}/publish": {"parameters": _refs("app", "channel"), "post": _publish()},
            f"{_CHANNEL}/history": {"parameters": _refs("app", "channel"), **_both(_history()), "delete": _forget()},
            f"{_CHANNEL}/events": {"parameters": _refs("app", "channel"), **_both(_events())},
            f"{_CHANNEL}/presence": {"parameters": _refs("app", "channel"), **_both(_presence())},
            _CHANNEL: {"parameters": _refs("app", "channel"), **_both(_channel())},
            "/apps/{app}/channels": {"parameters": _refs("app"), **_both(_channels())},
            "/apps/{app}/analytics": {"parameters": _refs("app"), **_both(_analytics())},
            "/apps/{app}/publish": {"parameters": _refs("app"), "post": _batch()},
            "/apps/{app}/broadcast": {"parameters": _refs("app"), "post": _broadcast()},
            "/apps/{app}/limits": {"parameters": _refs("app"), **_both(_limits())},
            **_operation_paths(),
        },
        "components": {
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "keyInUrl": {
                    "type": "apiKey",
                    "in": "query",
                    "name": "key",
                    "description": "A key or a token; only for /events, because a browser's EventSource cannot send "
                    "headers. URLs end up in logs: use one that may do nothing but subscribe.",
                },
            },
            "parameters": parameters(),
            "headers": headers(),
            "schemas": schemas(),
        },
    }


def _publish() -> Json:
    return {
        "operationId": "publish",
        "tags": ["events"],
        "summary": "Publish an event",
        "description": "When the reply is 200, the event is kept and has its place; when it is 202, it waits on the "
        "gateway's host for the engine, which gets it once; else nothing of it is left, or it is not known.",
        "security": [{"key": []}, {"token": []}],
        "parameters": _refs("idempotencyKey", "requestId"),
        "requestBody": _body("Event"),
        "responses": {
            "200": _reply("The event is kept.", "Ack", "Idempotency-Replayed", *_RATE_LIMIT),
            "202": _reply("The event waits for the engine.", "SpooledAck", "Idempotency-Replayed", *_RATE_LIMIT),
            **_errors("invalid_channel", *_WRITING),
        },
    }


def _batch() -> Json:
    lines = {"schema": {"type": "string", "description": "One event with its channel a line."}}
    body = _body("Batch")
    body["content"]["application/x-ndjson"] = lines
    return {
        "operationId": "publishBatch",
        "tags": ["events"],
        "summary": "Publish up to 1000 events, for any channels",
        "description": "Each event is on its own: some may be kept, others refused. The results stand in order. The "
        "limits of the app let all of them pass or none.",
        "security": [{"key": []}, {"token": []}],
        "parameters": _refs("idempotencyKey", "requestId"),
        "requestBody": body,
        "responses": {"200": _reply("What became of each event.", "Results", *_RATE_LIMIT), **_errors(*_WRITING)},
    }


def _broadcast() -> Json:
    return {
        "operationId": "broadcast",
        "tags": ["events"],
        "summary": "Publish one event to up to 100 channels",
        "security": [{"key": []}, {"token": []}],
        "parameters": _refs("idempotencyKey", "requestId"),
        "requestBody": _body("Broadcast"),
        "responses": {
            "200": _reply("What became of it in each channel.", "Results", *_RATE_LIMIT),
            **_errors(*_WRITING),
        },
    }


def _history() -> Json:
    return {
        "operationId": "history",
        "tags": ["events"],
        "summary": "Read past events",
        "description": "Without `since` the newest, with it those after it. What is lost is said in `gap`.",
        "security": [{"key": []}, {"token": []}, {}],
        "parameters": [
            *_refs("requestId"),
            _query("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}, "Most events to give."),
            _query("since", offset(), "The offset after which to begin."),
            _query("until", offset(), "The last offset wanted."),
            _query("reverse", {"type": "string", "enum": ["true", "false", "1", "0"]}, "Newest first."),
            _query("epoch", {"type": "string", "pattern": "^[0-9a-fA-F]{16}$"}, "The epoch that `since` belongs to."),
        ],
        "responses": {
            "200": _reply("The events.", "History"),
            **_errors("invalid_channel", "invalid_parameter", *_READING),
        },
    }


def _forget() -> Json:
    return {
        "operationId": "forget",
        "tags": ["channels"],
        "summary": "Forget the past of a channel",
        "security": [{"key": []}],
        "parameters": _refs("requestId"),
        "responses": {"200": _reply("It is forgotten.", "Forgotten"), **_errors("invalid_channel", *_READING)},
    }


def _events() -> Json:
    stream = {
        "description": "A stream that does not end: events as `id: <epoch>:<offset>` and `data: <envelope>`, what is "
        "missing as `event: gap`, a comment each 15 seconds.",
        "headers": _header_refs(),
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
    return {
        "operationId": "events",
        "tags": ["events"],
        "summary": "Follow a channel as server-sent events",
        "security": [{"key": []}, {"token": []}, {"keyInUrl": []}, {}],
        "parameters": [
            *_refs("requestId"),
            _query(
                "since",
                {"type": "string", "pattern": r"^([0-9a-fA-F]{16}:)?[0-9]{1,18}$"},
                "The position after which to begin: `<epoch>:<offset>`, or `<offset>` in the present epoch.",
            ),
            {
                "name": "Last-Event-ID",
                "in": "header",
                "description": "The last `id` that was received; goes before `since`.",
                "schema": {"type": "string", "pattern": "^[0-9a-fA-F]{16}:[0-9]{1,18}$"},
            },
        ],
        "responses": {"200": stream, **_errors("invalid_channel", "invalid_parameter", "rate_limited", *_READING)},
    }


def _channel() -> Json:
    return {
        "operationId": "channel",
        "tags": ["channels"],
        "summary": "Where a channel stands",
        "security": [{"key": []}, {"token": []}, {}],
        "parameters": _refs("requestId"),
        "responses": {"200": _reply("Its positions.", "ChannelOfApp"), **_errors("invalid_channel", *_READING)},
    }


def _presence() -> Json:
    return {
        "operationId": "presence",
        "tags": ["channels"],
        "summary": "Who is in a channel",
        "security": [{"key": []}, {"token": []}, {}],
        "parameters": _refs("requestId"),
        "responses": {"200": _reply("The members by key.", "Members"), **_errors("invalid_channel", *_READING)},
    }


def _channels() -> Json:
    return {
        "operationId": "channels",
        "tags": ["channels"],
        "summary": "The channels of an app, by name",
        "security": [{"key": []}, {"token": []}, {}],
        "parameters": [
            *_refs("requestId"),
            _query(
                "limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}, "Most channels to give."
            ),
            _query("cursor", {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"}, "What `next` of the page before says."),
        ],
        "responses": {"200": _reply("A page of channels.", "Channels"), **_errors("invalid_parameter", *_READING)},
    }


def _limits() -> Json:
    return {
        "operationId": "limits",
        "tags": ["operation"],
        "summary": "The limits of an app, and what is used of them",
        "security": [{"key": []}, {"token": []}, {}],
        "parameters": _refs("requestId"),
        "responses": {"200": _reply("Each limit; null where there is none.", "Limits"), **_errors(*_READING)},
    }


def _analytics() -> Json:
    field = {"type": "string", "maxLength": 256, "pattern": "^(/([^~/]|~[01])*)*$"}
    return {
        "operationId": "analytics",
        "tags": ["channels"],
        "summary": "Figures of one channel, or of an app's channels by name",
        "description": "Of the events that history has. Rates are in events per second, intervals in seconds, sizes in "
        "bytes of the envelopes.",
        "security": [{"key": []}, {"token": []}, {}],
        "parameters": [
            *_refs("requestId"),
            _query("channel", channel(), "The channel; without it a page of all of the app."),
            _query(
                "field",
                {"type": "array", "items": field, "maxItems": 16, "uniqueItems": True},
                "A JSON Pointer (RFC 6901) to a number in the events' data; may be given several times.",
            ),
            _query("window", _whole(604_800), "Only events of so many last seconds."),
            _query("bucket", _whole(86_400), "Count the events in steps of so many seconds, the newest 1000 at most."),
            _query("limit", _whole(100, default=10), "Most channels to give, without `channel`."),
            _query("cursor", {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"}, "What `next` of the page before says."),
        ],
        "responses": {
            "200": _reply("The figures.", "Analytics"),
            **_errors("invalid_channel", "invalid_parameter", *_READING),
        },
    }


def _operation_paths() -> Json:
    def path(name: str, summary: str, responses: Json) -> Json:
        operation = {
            "operationId": name,
            "tags": ["operation"],
            "summary": summary,
            "security": [],
            "parameters": _refs("requestId"),
            "responses": {**responses, **_errors(*_EVERYWHERE)},
        }
        return _both(operation)

    metrics = {
        "description": "The metrics of all workers, in the format that Accept asks for.",
        "headers": _header_refs(),
        "content": {
            "text/plain": {"schema": {"type": "string"}},
            "application/openmetrics-text": {"schema": {"type": "string"}},
        },
    }
    not_ready = _reply("Requests cannot be served, and why.", "NotReady", "Retry-After")
    return {
        "/alive": path("alive", "Whether the process answers", {"200": _reply("It does.", "Alive")}),
        "/ready": path("ready", "Whether to send requests here", {"200": _reply("Yes.", "Ready"), "503": not_ready}),
        "/health": path("health", "The full status", {"200": _reply("The status.", "Health")}),
        "/metrics": path("metrics", "The metrics for Prometheus", {"200": metrics}),
        "/openapi.json": path("openapi", "This document", {"200": _reply("The document.", "OpenApi")}),
        "/api/debug/circuit-breaker": path(
            "circuitBreaker", "The breakers before the processor", {"200": _reply("Their state.", "CircuitBreaker")}
        ),
    }


def _both(operation: Json) -> Json:
    """A GET, and the HEAD that answers with its headers."""
    head = {**operation, "operationId": f"{operation['operationId']}Head"}
    head["responses"] = {
        status: {"description": "As GET, without a body.", "headers": _header_refs()}
        for status in operation["responses"]
    }
    return {"get": operation, "head": head}


def _refs(*names: str) -> list[Json]:
    return [{"$ref": f"#/components/parameters/{name}"} for name in names]


def _header_refs(*more: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-ID", *more)}


def _query(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _whole(most: int, **more: int) -> Json:
    return {"type": "integer", "minimum": 1, "maximum": most, **more}


def _body(schema: str) -> Json:
    return {"required": True, "content": {"application/json": {"schema": ref(schema)}}}


def _reply(description: str, schema: str, *headers: str) -> Json:
    return {
        "description": description,
        "headers": _header_refs(*headers),
        "content": {"application/json": {"schema": ref(schema)}},
    }


def _errors(*codes: str) -> Json:
    """The error responses by status; where several codes share one, their titles stand together."""
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(CODES[code].http_status, []).append(code)
    problems = {str(status): _problem(*sharing) for status, sharing in sorted(by_status.items())}
    too_long: Json = {"description": "The URL is longer than the HTTP server takes; the body is the server's own."}
    return problems | {"414": too_long}


def _problem(*codes: str) -> Json:
    infos = [CODES[code] for code in codes]
    named = ["Retry-After"] if any(info.retry_after for info in infos) else []
    named += _RATE_LIMIT if "rate_limited" in codes else []
    named += ["WWW-Authenticate"] if infos[0].http_status == 401 else []
    named += ["Allow"] if infos[0].http_status == 405 else []
    schema = {"allOf": [ref("Problem"), {"properties": {"code": {"enum": list(codes)}}}]}
    return {
        "description": " · ".join(f"{info.title} (`{info.name}`)" for info in infos),
        "headers": _header_refs(*named),
        "content": {"application/problem+json": {"schema": schema}},
    }
