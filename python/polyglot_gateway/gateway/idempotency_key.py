"""The header Idempotency-Key."""

from __future__ import annotations

from typing import Any

from polyglot_gateway.errors import InvalidParameter


def idempotency_key(env: dict[str, Any]) -> str:
    """Return the key; "" when there is none. The core checks its length.

    Raises:
        InvalidParameter: It has characters outside ASCII, of which each server makes something else.
    """
    key: str = env.get("HTTP_IDEMPOTENCY_KEY", "")
    if not key.isascii():
        raise InvalidParameter("The Idempotency-Key has characters outside ASCII; send it in ASCII.")
    return key
