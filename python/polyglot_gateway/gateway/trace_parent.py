"""Which trace a request belongs to: the field traceparent (W3C Trace Context, section 3.2)."""

from __future__ import annotations

import re

import falcon

_FIELD = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?P<more>-.*)?"
)


def trace_id(req: falcon.Request) -> str | None:
    """Return the trace id, 32 hex digits; None when there is no such field, or it is not as it should be."""
    given = req.env.get("HTTP_TRACEPARENT")
    found = given and _FIELD.fullmatch(given)
    if not found or (found["version"] == "00" and found["more"] is not None):
        return None
    return str(found["trace"])


def trace_fields(req: falcon.Request) -> dict[str, str]:
    """What a log line about the request has of its trace."""
    trace = trace_id(req)
    return {} if trace is None else {"trace_id": trace}
