"""What a request body says that it is."""

from __future__ import annotations

from typing import Any

from falcon import parse_header

from polyglot_gateway.errors import UnsupportedMediaType

JSON = "application/json"
NDJSON = "application/x-ndjson"


def require_json(env: dict[str, Any]) -> None:
    """Return when the body is said to be JSON (RFC 8259, or a `+json` type of RFC 6839), or nothing is said.

    Raises:
        UnsupportedMediaType: It is said to be something else.
    """
    media_type = _media_type(env)
    if media_type != JSON:
        raise UnsupportedMediaType(f"The body is {media_type}; send {JSON}.")


def is_ndjson(env: dict[str, Any]) -> bool:
    """Whether the body is said to be JSON by lines, rather than JSON.

    Raises:
        UnsupportedMediaType: It is said to be something else.
    """
    media_type = _media_type(env)
    if media_type not in (JSON, NDJSON):
        raise UnsupportedMediaType(f"The body is {media_type}; send {JSON} or {NDJSON}.")
    return media_type == NDJSON


def _media_type(env: dict[str, Any]) -> str:
    coding = env.get("HTTP_CONTENT_ENCODING", "")
    if coding.lower() not in ("", "identity"):
        raise UnsupportedMediaType(f"The body has the content coding {coding}; send it without.")
    media_type, parameters = parse_header(env.get("CONTENT_TYPE") or JSON)
    charset = parameters.get("charset", "utf-8")
    if charset.lower() not in ("utf-8", "utf8"):
        raise UnsupportedMediaType(f"The body has the charset {charset}; send it in UTF-8.")
    media_type = media_type.lower()
    return JSON if media_type.startswith("application/") and media_type.endswith("+json") else media_type
