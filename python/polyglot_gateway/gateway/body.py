"""Request bodies: read whole, never more than allowed, and not for ever."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Any

import gevent
from gevent.socket import socket as GeventSocket

from polyglot_gateway.errors import InvalidJson, InvalidParameter, PayloadTooLarge

BODY_SECONDS = 30.0
"""How long a whole body may take, and two seconds more at most, under gunicorn's gevent workers; other servers have
limits of their own."""

_SEEN = "polyglot_gateway.body_seen"
_LATE = "polyglot_gateway.body_late"


def read_body(env: dict[str, Any], limit: int) -> bytes:
    """Return the body, be its length declared or chunked.

    Args:
        env: The WSGI environment (PEP 3333; `wsgi.input_terminated` says that the server ends a chunked body).
        limit: Most bytes that are taken; no more than one beyond it is read.

    Raises:
        PayloadTooLarge: It is, or says that it is, longer than `limit`.
        InvalidJson: It ends before it should, or takes longer than BODY_SECONDS.
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
    # Python refuses to read a number of thousands of digits.
    if len(declared) > 19 or (length := int(declared)) > limit:
        raise _too_large(limit)
    body = _read(env, length)
    if len(body) < length:
        raise _cut_off(env, f"The body ends after {len(body)} of {length} bytes.", len(body))
    return body


def _read(env: dict[str, Any], size: int) -> bytes:
    stream = env["wsgi.input"]
    _under_way[id(env)] = env
    if not _watching and isinstance(env.get("gunicorn.socket"), GeventSocket):
        _watching.append(gevent.spawn(_watch))
    try:
        body: bytes = stream.read(size)
        while body and len(body) < size and (more := stream.read(size - len(body))):
            body += more
    except Exception as error:  # each server has its own classes for a connection that ends early
        raise _cut_off(env, "The body could not be read to its end.") from error
    finally:
        _under_way.pop(id(env), None)
    return body


# The bodies that are being read, and the greenlet that gives up those that are late. There is one for all of them, and
# it notes since when it has seen them: a timer for each, or the time, would cost a publish as much as its body does.
_under_way: dict[int, dict[str, Any]] = {}
_watching: list[gevent.Greenlet[..., None]] = []


def _watch() -> None:
    while True:
        gevent.sleep(min(1.0, BODY_SECONDS / 4))  # first: most bodies are there before this runs
        if not _under_way:
            break
        now = time.monotonic()
        for env in list(_under_way.values()):
            connection = env.get("gunicorn.socket")
            if now - env.setdefault(_SEEN, now) > BODY_SECONDS and isinstance(connection, GeventSocket):
                _end_input(connection, env)
    _watching.clear()


def _end_input(connection: GeventSocket, env: dict[str, Any]) -> None:
    """Make the reader see the end of the connection, on which the answer can still be sent."""
    env[_LATE] = True
    with contextlib.suppress(OSError):  # the peer may be gone already
        # Not the method of a TLS socket, which would end the encryption of the answer too.
        GeventSocket.shutdown(connection, socket.SHUT_RD)


def _cut_off(env: dict[str, Any], message: str, position: int | None = None) -> InvalidJson:
    if _LATE in env:
        message = f"The body did not arrive within {BODY_SECONDS:g} s."
    return InvalidJson(message, position)


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is larger than the {limit} bytes allowed here.")
