"""Request bodies: read whole, never more than allowed."""

from __future__ import annotations

from typing import Any

from polyglot_gateway.errors import InvalidJson, InvalidParameter, PayloadTooLarge


def read_body(env: dict[str, Any], limit: int) -> bytes:
    """Return the body, be its length declared or chunked.

    Args:
        env: The WSGI environment (PEP 3333; `wsgi.input_terminated` says that the server ends a chunked body).
        limit: Most bytes that are taken; no more than one beyond it is read.

    Raises:
        PayloadTooLarge: It is, or says that it is, longer than `limit`.
        InvalidJson: It ends before it should.
        InvalidParameter: Content-Length is not a number.
    """
    declared = env.get("CONTENT_LENGTH")
    if not declared:
        if not env.get("wsgi.input_terminated"):
            return b""
        body = _read(env, limit + 1)
        if len(body) > limit:
            raise _too_large(limit)
        return body
    if not (declared.isascii() and declared.isdigit()):
        raise InvalidParameter(f"Content-Length is {declared!r}; it must be a number of bytes.")
    length = int(declared)
    if length > limit:
        raise _too_large(limit)
    body = _read(env, length)
    if len(body) < length:
        raise InvalidJson(f"The body ends after {len(body)} of {length} bytes.", len(body))
    return body


def _read(env: dict[str, Any], size: int) -> bytes:
    stream = env["wsgi.input"]
    try:
        body: bytes = stream.read(size)
        while body and len(body) < size and (more := stream.read(size - len(body))):
            body += more
    except Exception as error:  # each server has its own classes for a connection that ends early
        raise InvalidJson("The body could not be read to its end.") from error
    return body


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is larger than the {limit} bytes allowed here.")
