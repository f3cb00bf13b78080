"""Which trace a request belongs to: the field traceparent (W3C Trace Context, section 3.2)."""

from __future__ import annotations

import re
from typing import Any

import falcon

_FIELD = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?P<more>-.*)?"
)


def traceparent(env: dict[str, Any]) -> str:
    """Return the field of the request, as it was sent; "" when there is none, or it is not as it should be."""
    given = env.get("HTTP_TRACEPARENT")
    if given is None:
        return ""
    found = _FIELD.fullmatch(given)
    is_right = found and (found["version"] != "00" or found["more"] is None)
    return str(given) if is_right else ""


def trace_fields(req: falcon.Request) -> dict[str, str]:
    """What a log line about the request has of its trace: `trace_id`, 32 hex digits."""
    given = traceparent(req.env)
    return {"trace_id": given[3:35]} if given else {}
