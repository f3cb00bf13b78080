"""The credential of a request, an API key or a bearer token, and what it may do."""

from __future__ import annotations

from typing import Any

from polyglot_gateway.errors import GatewayError, InvalidApp, InvalidChannel, Unauthorized
from polyglot_gateway.gateway.parts import Access
from polyglot_gateway.gateway.tokens import Tokens, looks_like_token

REPLACED = "\ufffd"
"""What stands in a path for bytes that are not UTF-8 (WSGI servers and Falcon decode it before it is looked at)."""

_SCHEME = "bearer "


class Credentials:
    """Decides by the API key in X-API-Key or, without that header, by the token in Authorization.

    What needs no key needs no token either; then neither is looked at.
    """

    def __init__(self, access: Access, tokens: Tokens) -> None:
        self._access = access
        self._tokens = tokens

    def authorize(self, env: dict[str, Any], app: str, scope: str) -> str:
        """Return who is known to ask, when the request's credential may do `scope` in the whole app.

        Args:
            env: The WSGI environment.
            app: App id.
            scope: publish, history, subscribe or admin.

        Returns:
            The user that a token names; "" for a key, and when nobody is named.

        Raises:
            InvalidApp, Unauthorized, TokenExpired, Forbidden: It may not.
        """
        return self._decide(env, app, "", scope, None)

    def authorize_channel(
        self, env: dict[str, Any], app: str, channel: str, scope: str, instead: str | None = None
    ) -> str:
        """Return who is known to ask, when the request's credential may do `scope` in the channel.

        Args:
            env: The WSGI environment.
            app: App id.
            channel: Channel name.
            scope: publish, history, subscribe or admin.
            instead: A key or a token that counts when no header has one.

        Returns:
            The user that a token names; "" for a key, and when nobody is named.

        Raises:
            InvalidApp, InvalidChannel, Unauthorized, TokenExpired, Forbidden: It may not.
        """
        if not channel:
            raise InvalidChannel("The channel name is empty; it must have 1 to 200 characters.")
        return self._decide(env, app, channel, scope, instead)

    def _decide(self, env: dict[str, Any], app: str, channel: str, scope: str, instead: str | None) -> str:
        header = env.get("HTTP_X_API_KEY")
        key: str | bytes
        if header is not None:
            key, token = header if header.isascii() else _as_sent(header), ""
        elif (token := _bearer(env)) or not instead:
            key = ""
        elif looks_like_token(instead):
            key, token = "", instead
        else:
            key = instead
        try:
            self._access.authorize(app, channel, key, scope)
        except (InvalidApp, InvalidChannel) as error:
            raise _explained(error, app + channel) from None
        except Unauthorized:
            if not token:
                raise
        else:
            return ""
        grant = self._tokens.verify(token)
        grant.check(app, channel, scope)
        return grant.user_id


def _bearer(env: dict[str, Any]) -> str:
    """The token in the header Authorization, "" when that has none."""
    header: str = env.get("HTTP_AUTHORIZATION", "")
    return header[len(_SCHEME) :].strip() if header[: len(_SCHEME)].lower() == _SCHEME else ""


def _as_sent(header: str) -> bytes:
    """A key is the bytes that were sent; PEP 3333 decodes headers as Latin-1, whatever they are."""
    return header.encode("latin-1")


def _explained(error: GatewayError, names: str) -> GatewayError:
    """The same error, with a word about what is easily overlooked."""
    if REPLACED in names:
        return type(error)(f"{error.message} The path has bytes that are not UTF-8, or U+FFFD itself.")
    return error
