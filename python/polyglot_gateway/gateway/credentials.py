"""The credential of a request, and what it may do."""

from __future__ import annotations

from typing import Any

from polyglot_gateway.errors import InvalidApp, InvalidChannel, Unauthorized
from polyglot_gateway.gateway.parts import Access

REPLACED = "\ufffd"
"""What stands in a path for bytes that are not UTF-8 (WSGI servers and Falcon decode it before it is looked at)."""


def authorize(access: Access, env: dict[str, Any], app: str, scope: str) -> None:
    """Return when the request's key may do `scope` in the whole app.

    Raises:
        InvalidApp, Unauthorized, Forbidden: It may not.
    """
    _authorize(access, env, app, "", env.get("HTTP_X_API_KEY"), "", scope)


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
    _authorize(access, env, app, channel, env.get("HTTP_X_API_KEY"), key or "", scope)


def _authorize(
    access: Access, env: dict[str, Any], app: str, channel: str, header: str | None, instead: str, scope: str
) -> None:
    key: str | bytes = instead
    if header is not None:
        # PEP 3333 decodes headers as Latin-1, whatever they are; a key is the bytes that were sent.
        key = header if header.isascii() else header.encode("latin-1")
    try:
        access.authorize(app, channel, key, scope)
    except (InvalidApp, InvalidChannel) as error:
        if REPLACED in app + channel:
            raise type(error)(f"{error.message} The path has bytes that are not UTF-8, or U+FFFD itself.") from None
        raise
    except Unauthorized:
        if not key and env.get("HTTP_AUTHORIZATION", "").lower().startswith("bearer "):
            raise Unauthorized("Bearer tokens are not accepted; send the app's key in X-API-Key.") from None
        raise
