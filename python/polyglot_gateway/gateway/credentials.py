"""The credential of a request, an API key or a bearer token, and what it may do; and what the hook says to that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from falcon.uri import parse_query_string

from polyglot_gateway import _core
from polyglot_gateway._core import Grant
from polyglot_gateway.errors import GatewayError, InvalidApp, InvalidChannel, Unauthorized
from polyglot_gateway.gateway.parts import Access
from polyglot_gateway.gateway.source_address import SourceAddress
from polyglot_gateway.gateway.tokens import AuthorizeRequest, Kind, Tokens, looks_like_token

REPLACED = "\ufffd"
"""What stands in a path for bytes that are not UTF-8 (WSGI servers and Falcon decode it before it is looked at)."""

_SCHEME = "bearer "

# The user, what decided, and with what it was called.
_Decided = tuple[str, Callable[..., None], *tuple[str | bytes, ...]]


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a request was allowed.

    Attributes:
        user_id: The user that a token or the hook names; "" for a key, and when nobody is named.
        still: Whether the credential would be allowed the same now; the hook is not asked again.
    """

    user_id: str
    still: Callable[[], bool]


class Credentials:
    """Decides by the API key in X-API-Key or, without that header, by the token in Authorization.

    What needs no key needs no token either; then neither is looked at. The authorize hook, where there is one, is asked
    before all that.
    """

    def __init__(self, access: Access, tokens: Tokens, source: SourceAddress) -> None:
        self._access = access
        self._tokens = tokens
        self._source = source

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
        return self._decide(env, app, None, scope, None)[0]

    def authorize_channel(self, env: dict[str, Any], app: str, channel: str, scope: str) -> str:
        """Return who is known to ask, when the request's credential may do `scope` in the channel; see `allowed`."""
        key = env.get("HTTP_X_API_KEY")
        if key is None or self._tokens.asks or not (channel and key.isascii()):
            return self._decide(env, app, channel, scope, None)[0]
        # As there, for most requests.
        try:
            self._access.authorize(app, channel, key, scope)
        except (InvalidApp, InvalidChannel) as error:
            raise _explained(error, app + channel) from None
        return ""

    def allowed(self, env: dict[str, Any], app: str, channel: str, scope: str, instead: str | None = None) -> Allowed:
        """Return what the request's credential is allowed, when it may do `scope` in the channel.

        Args:
            env: The WSGI environment.
            app: App id.
            channel: Channel name.
            scope: publish, history, subscribe or admin.
            instead: A key or a token that counts when no header has one.

        Raises:
            InvalidApp, InvalidChannel, Unauthorized, TokenExpired, Forbidden: It may not.
        """
        user_id, check, *asked = self._decide(env, app, channel, scope, instead)
        return Allowed(user_id, partial(_holds, check, *asked))

    def _decide(self, env: dict[str, Any], app: str, channel: str | None, scope: str, instead: str | None) -> _Decided:
        if channel is None:  # the whole app
            channel = ""
        elif not channel:
            raise InvalidChannel("The channel name is empty; it must have 1 to 200 characters.")
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
        if self._tokens.asks and (granted := self._ask(env, app, channel, scope, key, token)) is not None:
            granted.check(app, channel, scope)
            return granted.user_id, granted.check, app, channel, scope
        try:
            self._access.authorize(app, channel, key, scope)
        except (InvalidApp, InvalidChannel) as error:
            raise _explained(error, app + channel) from None
        except Unauthorized:
            if not token:
                raise
        else:
            return "", self._access.authorize, app, channel, key, scope
        grant = self._tokens.verify(token)
        grant.check(app, channel, scope)
        return grant.user_id, grant.check, app, channel, scope

    def _ask(
        self, env: dict[str, Any], app: str, channel: str, scope: str, key: str | bytes, token: str
    ) -> Grant | None:
        try:
            _core.check_app(app)
            if channel:
                _core.check_channel(channel)
        except (InvalidApp, InvalidChannel) as error:
            raise _explained(error, app + channel) from None
        # What may be the credential is no parameter; see `instead`.
        parameters = parse_query_string(env.get("QUERY_STRING", ""), keep_blank=True)
        return self._tokens.ask(
            AuthorizeRequest(
                kind=cast("Kind", scope),
                app=app,
                channel=channel,
                token=token,
                api_key=key if isinstance(key, str) else key.decode("utf-8", "surrogateescape"),
                params={name: _last(value) for name, value in parameters.items() if name != "key"},
                source_ip=self._source.of(env),
                headers=_headers(env),
            )
        )


def _headers(env: dict[str, Any]) -> dict[str, str]:
    """The request's headers, by their names in small letters."""
    found = {name[5:]: value for name, value in env.items() if name.startswith("HTTP_")}
    found |= {name: env[name] for name in ("CONTENT_TYPE", "CONTENT_LENGTH") if env.get(name)}
    return {name.lower().replace("_", "-"): value for name, value in found.items()}


def _bearer(env: dict[str, Any]) -> str:
    """The token in the header Authorization, "" when that has none."""
    header: str = env.get("HTTP_AUTHORIZATION", "")
    return header[len(_SCHEME) :].strip() if header[: len(_SCHEME)].lower() == _SCHEME else ""


def _holds(check: Callable[..., None], *asked: str | bytes) -> bool:
    try:
        check(*asked)
    except GatewayError:
        return False
    return True


def _last(value: str | list[str]) -> str:
    return value if isinstance(value, str) else value[-1]


def _as_sent(header: str) -> bytes:
    """A key is the bytes that were sent; PEP 3333 decodes headers as Latin-1, whatever they are."""
    return header.encode("latin-1")


def _explained(error: GatewayError, names: str) -> GatewayError:
    """The same error, with a word about what is easily overlooked."""
    if REPLACED in names:
        return type(error)(f"{error.message} The path has bytes that are not UTF-8, or U+FFFD itself.")
    return error
