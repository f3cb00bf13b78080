"""The credential of a request, and what it may do."""

from __future__ import annotations

from typing import Any

from polyglot_gateway.errors import GatewayError, InvalidApp, InvalidChannel, Unauthorized
from polyglot_gateway.gateway.parts import Access

REPLACED = "\ufffd"
"""What stands in a path for bytes that are not UTF-8 (WSGI servers and Falcon decode it before it is looked at)."""


def authorize(access: Access, env: dict[str, Any], app: str, scope: str) -> None:
    """Return when the request's key may do `scope` in the whole app.

    Raises:
        InvalidApp, Unauthorized, Forbidden: It may not.
    """
    key = env.get("HTTP_X_API_KEY", "")
    try:
        access.authorize(app, "", key if key.isascii() else _as_sent(key), scope)
    except GatewayError as error:
        raise _explained(error, env, key, app) from None


def authorize_channel(
    access: Access, env: dict[str, Any], app: str, channel: str, scope: str, key: str | None = None
) -> None:
    """Return when the request's key may do `scope` in the channel.

    Args:
        access: Who may do what.
        env: The WSGI environment; the key is in its header X-API-Key.
        app: App id.
        channel: Channel name.
        scope: publish, history, subscribe or admin.
        key: What stands for the key when there is no header.

    Raises:
        InvalidApp, InvalidChannel, Unauthorized, Forbidden: It may not.
    """
    if not channel:
        raise InvalidChannel("The channel name is empty; it must have 1 to 200 characters.")
    header = env.get("HTTP_X_API_KEY")
    given = key or "" if header is None else header if header.isascii() else _as_sent(header)
    try:
        access.authorize(app, channel, given, scope)
    except GatewayError as error:
        raise _explained(error, env, given, app + channel) from None


def _as_sent(header: str) -> bytes:
    """A key is the bytes that were sent; PEP 3333 decodes headers as Latin-1, whatever they are."""
    return header.encode("latin-1")


def _explained(error: GatewayError, env: dict[str, Any], key: str | bytes, names: str) -> GatewayError:
    """The same error, with a word about what is easily overlooked."""
    if isinstance(error, InvalidApp | InvalidChannel) and REPLACED in names:
        return type(error)(f"{error.message} The path has bytes that are not UTF-8, or U+FFFD itself.")
    if isinstance(error, Unauthorized) and not key and env.get("HTTP_AUTHORIZATION", "").lower().startswith("bearer "):
        return Unauthorized("Bearer tokens are not accepted; send the app's key in X-API-Key.")
    return error
