"""The parts that the OpenAPI document refers to: headers, parameters, schemas."""

from __future__ import annotations

from typing import Any

from polyglot_gateway.gateway.parameters import MAX_OFFSET

Json = dict[str, Any]


def headers() -> Json:
    """Return the headers of replies by name."""

    def header(description: str, schema: Json | None = None) -> Json:
        return {"description": description, "schema": schema or {"type": "string"}}

    return {
        "X-Request-ID": header("The id of the request: the one that was sent, or a new one."),
        "Idempotency-Replayed": header(
            "true when this is the first reply again.", {"type": "string", "enum": ["true"]}
        ),
        "Retry-After": header("Seconds to wait.", {"type": "integer"}),
        "RateLimit-Policy": header("How much the app may publish at once, `q`, and in how many seconds anew, `w`."),
        "RateLimit": header("What is left of it, `r`, and in how many seconds all of it is there again, `t`."),
        "WWW-Authenticate": header("What credential is asked for."),
        "Allow": header("The methods that are possible here."),
    }


def parameters() -> Json:
    """Return the parameters by the name that `$ref` uses."""
    return {
        "app": {
            "name": "app",
            "in": "path",
            "required": True,
            "description": "App id.",
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
            "example": "demo-app",
        },
        "channel": {
            "name": "channel",
            "in": "path",
            "required": True,
            "description": "Channel name, percent-encoded where a URL needs it.",
            "schema": channel(),
            "example": "room:test",
        },
        "requestId": {
            "name": "X-Request-ID",
            "in": "header",
            "description": "An id for this request, 1-128 of `A-Z a-z 0-9 . _ -`; another value is replaced.",
            "schema": {"type": "string"},
        },
        "idempotencyKey": {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "Within five minutes the same key in the same channel gives the first reply again.",
            "schema": {"type": "string", "maxLength": 255, "pattern": "^[ -~]*$"},
        },
    }


def _object(properties: Json, *, optional: tuple[str, ...] = (), closed: bool = False) -> Json:
    schema: Json = {"type": "object", "properties": properties}
    schema["required"] = [name for name in properties if name not in optional]
    if closed:
        schema["additionalProperties"] = False
    return schema


def schemas() -> Json:
    """Return the schemas of bodies by name."""
    text: Json = {"type": "string"}
    name = channel()
    epoch: Json = {"type": "string", "pattern": "^[0-9a-f]{16}$"}
    time: Json = {"type": "string", "format": "date-time"}
    event_id: Json = {"type": "string", "pattern": "^evt_[0-9A-HJKMNP-TV-Z]{26}$"}
    event: Json = {
        "type": {"type": "string", "minLength": 1, "maxLength": 256, "description": "At most 256 bytes of JSON."},
        "data": {"description": "Any JSON, kept byte for byte."},
    }
    ack: Json = {"id": event_id, "timestamp": time, "offset": {**offset(), "minimum": 1}, "epoch": epoch}
    nullable_gap: Json = {
        "oneOf": [
            {"type": "null"},
            _object(
                {
                    "from": offset(),
                    "to": offset(),
                    "reason": {"enum": ["overwritten", "expired", "epoch_changed", "beyond_end"]},
                }
            ),
        ]
    }
    info: Json = {
        "channel": name,
        "epoch": epoch,
        "first_offset": offset(),
        "last_offset": offset(),
        "count": offset(),
        "last_published": {"type": ["string", "null"], "format": "date-time"},
    }
    lost: Json = {"type": "string", "description": "As it was sent; empty when the event could not be read so far."}
    meta = _object({"user_id": {"type": ["string", "null"]}, "ts": time, "source_ip": {"type": ["string", "null"]}})
    spooled = {"id": event_id, "timestamp": time, "spooled": {"const": True}}
    refused = {"channel": lost, "code": text, "error": text, "status": {"type": "integer"}}
    processor = {"enum": ["embedded", "http", "grpc"]}
    breaker_state: Json = {"enum": ["closed", "open", "half_open"]}
    endpoint: Json = {
        "endpoint": text,
        "protocol": {"enum": ["http", "grpc"]},
        "state": breaker_state,
        "last_error": {"type": ["string", "null"]},
    }
    return {
        "Event": _object(event, closed=True),
        "Batch": _object(
            {
                "events": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 1000,
                    "items": _object({"channel": name, **event}, closed=True),
                }
            },
            closed=True,
        ),
        "Broadcast": _object(
            {
                "channels": {"type": "array", "minItems": 1, "maxItems": 100, "uniqueItems": True, "items": name},
                **event,
            },
            closed=True,
        ),
        "Ack": _object(ack),
        "SpooledAck": _object(spooled),
        "Results": _object(
            {
                "results": {
                    "type": "array",
                    "items": {
                        "anyOf": [
                            _object({"channel": name, **ack, "replayed": {"const": True}}, optional=("replayed",)),
                            _object({"channel": name, **spooled, "replayed": {"const": True}}, optional=("replayed",)),
                            _object(refused),
                        ]
                    },
                }
            }
        ),
        "Envelope": _object(
            {
                "id": event_id,
                "app_id": text,
                "channel": name,
                "type": text,
                "data": {},
                "meta": meta,
                "offset": {**offset(), "minimum": 1},
            }
        ),
        "History": _object(
            {
                "app_id": text,
                "channel": name,
                "count": {"type": "integer", "minimum": 0},
                "events": {"type": "array", "items": ref("Envelope")},
                "epoch": epoch,
                "offset": offset(),
                "recovered": {"type": "boolean"},
                "gap": nullable_gap,
            }
        ),
        "Forgotten": _object({"app_id": text, "channel": name, "epoch": epoch}),
        "Members": _object(
            {
                "app_id": text,
                "channel": name,
                "count": {"type": "integer", "minimum": 0, "description": "Of keys."},
                "members": {
                    "type": "object",
                    "additionalProperties": _object(
                        {
                            "metas": {
                                "type": "array",
                                "description": "One for each join, with what the member says of itself.",
                                "items": _object({"phx_ref": text}),
                            }
                        }
                    ),
                },
            }
        ),
        "Channel": _object(info),
        "ChannelOfApp": _object({"app_id": text, **info}),
        "Channels": _object(
            {
                "app_id": text,
                "channels": {"type": "array", "items": ref("Channel")},
                "next": {"type": ["string", "null"], "description": "The cursor of the next page; null on the last."},
            }
        ),
        **_analytics(name, epoch),
        "Problem": _object(
            {
                "type": {"type": "string", "format": "uri"},
                "title": text,
                "status": {"type": "integer"},
                "detail": {"type": "string", "description": "How to mend it."},
                "code": {"type": "string", "description": "Stable name of the error."},
                "error": {"type": "string", "description": "What is wrong, in one sentence."},
                "position": {"type": "integer", "minimum": 0, "description": "Byte of the body to look at."},
                "request_id": text,
            },
            optional=("position", "request_id"),
        ),
        "Alive": _object({"status": {"const": "alive"}}),
        "Ready": _object({"status": {"const": "ready"}}),
        "NotReady": _object({"status": {"const": "not_ready"}, "reasons": {"type": "array", "items": text}}),
        "Health": _object(
            {
                "status": {"enum": ["ok", "degraded"]},
                "reasons": {"type": "array", "items": text},
                "version": text,
                "env": text,
                "uptime_seconds": {"type": "number", "minimum": 0},
                "worker": {"type": "integer", "description": "Process id of the worker that answers."},
                "engine": _object(
                    {
                        "name": text,
                        "segment": {"type": ["object", "null"], "additionalProperties": {"type": "number"}},
                        "notices": {"type": "array", "items": text},
                    }
                ),
                "processor": _object(
                    {
                        "name": processor,
                        "state": breaker_state,
                        "endpoints": {"type": "array", "items": _object(endpoint)},
                    }
                ),
            }
        ),
        "CircuitBreaker": _object(
            {
                "enabled": {"type": "boolean", "description": "Whether any of them opens."},
                "processor": processor,
                "state": {**breaker_state, "description": "The best of all endpoints'."},
                "endpoints": {
                    "type": "array",
                    "description": "How the processor elsewhere is asked; each of these has a breaker in each worker.",
                    "items": _object(
                        {
                            **endpoint,
                            "failures": {"type": "integer", "minimum": 0, "description": "In a row."},
                            "opened_at": {"type": ["string", "null"], "format": "date-time"},
                            "next_try_in": {"type": ["number", "null"], "description": "Seconds."},
                            "transitions": {
                                "type": "array",
                                "description": "The newest 20, the oldest of them first.",
                                "items": _object({"from": breaker_state, "to": breaker_state, "at": time}),
                            },
                        }
                    ),
                },
            },
            optional=("endpoints",),
        ),
        "OpenApi": {"type": "object"},
        "Limits": _limits(),
    }


def _limits() -> Json:
    def optional(*members: str) -> Json:
        return {"oneOf": [{"type": "null"}, _object({name: {"type": "integer", "minimum": 0} for name in members})]}

    rates = dict.fromkeys(("events", "bytes"), optional("per_second", "burst", "remaining"))
    quotas = dict.fromkeys(("connections", "subscriptions", "channels"), optional("most", "used"))
    return _object({"app_id": {"type": "string"}, **rates, **quotas})


def _analytics(name: Json, epoch: Json) -> Json:
    """The schemas of figures. What is no finite number is null."""
    number: Json = {"type": ["number", "null"]}
    time: Json = {"type": ["string", "null"], "format": "date-time"}
    place: Json = {"type": ["integer", "null"], "minimum": 1}
    count: Json = {"type": "integer", "minimum": 0}
    summary = ref("Summary")
    figures = {
        "channel": name,
        "epoch": epoch,
        "count": count,
        "first_offset": place,
        "last_offset": place,
        "begin": {**time, "description": "From here to `end` no event is missing; null when nothing is known."},
        "end": {"type": "string", "format": "date-time"},
        "rates": _object(dict.fromkeys(("1", "10", "60", "all"), number)),
        "intervals": summary,
        "sizes": summary,
        "fields": {"type": "object", "additionalProperties": summary},
        "buckets": {
            "oneOf": [
                {"type": "null"},
                _object({"seconds": count, "first": time, "counts": {"type": "array", "items": count}}),
            ]
        },
    }
    page = {
        "channels": {"type": "array", "items": ref("Figures")},
        "next": {"type": ["string", "null"], "description": "The cursor of the next page; null on the last."},
    }
    return {
        "Summary": _object({"count": count, **dict.fromkeys(("min", "max", "mean", "p50", "p95", "p99"), number)}),
        "Figures": _object(figures),
        "Analytics": {
            "type": "object",
            "properties": {"app_id": {"type": "string"}},
            "required": ["app_id"],
            "oneOf": [ref("Figures"), _object(page)],
        },
    }


def channel() -> Json:
    """Return the schema of a channel's name."""
    return {"type": "string", "pattern": "^[A-Za-z0-9_=@,.;:~/-]{1,200}$"}


def offset() -> Json:
    """Return the schema of an offset."""
    return {"type": "integer", "format": "int64", "minimum": 0, "maximum": MAX_OFFSET}


def ref(schema: str) -> Json:
    """Return the reference to one of `schemas`."""
    return {"$ref": f"#/components/schemas/{schema}"}
