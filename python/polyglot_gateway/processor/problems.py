"""What the processor answers instead of verdicts: problem details of RFC 9457 over HTTP, a status over gRPC."""

from __future__ import annotations

import json
from typing import NamedTuple

MEDIA_TYPE = "application/problem+json"


class Problem(NamedTuple):
    """One kind of error."""

    http_status: int
    grpc_status: str
    """Its name in grpc.StatusCode."""
    title: str
    mend: str


PROBLEMS = {
    "invalid_json": Problem(400, "INVALID_ARGUMENT", "Invalid JSON", "Send strict JSON (RFC 8259) in UTF-8."),
    "invalid_event": Problem(
        400, "INVALID_ARGUMENT", "Invalid event", "Send an event or a batch of them, as docs/processor.md shows."
    ),
    "invalid_app": Problem(
        400, "INVALID_ARGUMENT", "Invalid app id", "Use 1 to 64 of the characters A-Z a-z 0-9 _ - for an app id."
    ),
    "invalid_channel": Problem(
        400,
        "INVALID_ARGUMENT",
        "Invalid channel name",
        "Use 1 to 200 of the characters A-Z a-z 0-9 _ - = @ , . ; : ~ / for a channel name.",
    ),
    "not_found": Problem(
        404, "UNIMPLEMENTED", "Not found", "The paths are /process, /process-batch, /health, /metrics and /stats."
    ),
    "method_not_allowed": Problem(
        405, "UNIMPLEMENTED", "Method not allowed", "Use a method that the header Allow lists."
    ),
    "payload_too_large": Problem(413, "RESOURCE_EXHAUSTED", "Payload too large", "Send fewer events at a time."),
    "overloaded": Problem(503, "RESOURCE_EXHAUSTED", "Overloaded", "Send it to another processor, or later."),
    "processor_failed": Problem(
        500, "INTERNAL", "Processor failed", "Mend the function; the processor's log has the traceback."
    ),
    "internal_error": Problem(
        500, "INTERNAL", "Internal error", "This is a fault of the processor; its log has the details."
    ),
}


def problem_json(code: str, message: str, position: int | None = None) -> bytes:
    """The body of an answer with this error, in the form that the gateway's have (docs/errors.md)."""
    problem = PROBLEMS[code]
    members = {
        "type": f"urn:polyglot-gateway:{code}",
        "title": problem.title,
        "status": problem.http_status,
        "detail": problem.mend,
        "code": code,
        "error": message,
    }
    if position is not None:
        members["position"] = position
    return json.dumps(members, separators=(",", ":")).encode()
