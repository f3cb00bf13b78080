"""Bearer tokens, and the hook that may decide in their place: who gets which `Grant`.

A token is a JWT that JWT_SECRET signs (HS256), or a key of the set JWT_JWKS (RS256, ES256; jwks.py), with the claims

```
exp   when it ends, seconds since 1970
app   the app that it is for
can   {"<channel pattern>": ["publish", "history", "subscribe", "presence"]}
sub   whom it names, optional; becomes meta.user_id of what its bearer publishes
```

`nbf` is heeded when it is there; `iss` and `aud` have to be what the settings say. Where these say nothing, any issuer
is taken, and a token with `aud` is for somebody else. Other claims are ignored.

The algorithm that a token names only chooses among what each kind of key is for: the secret is never a key of RS256 or
ES256, and no public key is ever the secret of HS256.

Thread safety: all of it, if the hook is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from polyglot_gateway._core import Grant
from polyglot_gateway.errors import (
    Forbidden,
    InternalError,
    InvalidParameter,
    TokenExpired,
    Unauthorized,
)
from polyglot_gateway.gateway.jwks import KeySet

if TYPE_CHECKING:
    from jwt import PyJWK

Kind = Literal["connect", "join", "publish", "subscribe", "history", "admin"]

_REMEMBERED = 1024
"""Tokens whose signature is not checked again."""

_LAST_SECOND = 2**53
"""No `exp` lies beyond it."""


@dataclass(frozen=True, slots=True)
class AuthorizeRequest:
    """What the authorize hook is asked about; its text shows no credential.

    Attributes:
        kind: "connect" when a socket opens, "join" when it joins a channel; of a request of REST what it needs:
            "publish", "subscribe", "history" or "admin".
        app: App id.
        channel: Channel name; "" on connect, and for what concerns the whole app, such as a batch.
        token: The token that was sent; "" without one.
        api_key: The API key that was sent; "" without one.
        params: What the client sent along.
        source_ip: Address of the client.
        headers: Of the request; names in small letters. None on join.
    """

    kind: Kind
    app: str
    channel: str = ""
    token: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    params: dict[str, object] = field(default_factory=dict, repr=False)
    source_ip: str = ""
    headers: dict[str, str] = field(default_factory=dict, repr=False)


AuthorizeHook = Callable[[AuthorizeRequest], Grant | None]
"""None: decide as usual. A Grant: this holds. A GatewayError that it raises: refused, and the client is told so."""


def _unicode(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("It has half of a surrogate pair") from None
    return text


_Text = Annotated[str, AfterValidator(_unicode)]


class _Claims(BaseModel):
    model_config = ConfigDict(strict=True)

    exp: Annotated[float, Field(lt=_LAST_SECOND)]
    app: _Text
    can: dict[_Text, list[_Text]]
    sub: _Text | None = None


def looks_like_token(credential: str) -> bool:
    """Whether the credential is a token rather than an API key: a JWT has two dots."""
    return credential.count(".") == 2


class Tokens:
    """Turns tokens into grants.

    Attributes:
        asks: Whether there is a hook.
    """

    def __init__(
        self,
        jwt_secret: str = "",
        authorize: AuthorizeHook | None = None,
        leeway: int = 0,
        *,
        keys: KeySet | None = None,
        issuer: str = "",
        audience: str = "",
    ) -> None:
        """Make the grants of tokens that `jwt_secret` or one of `keys` signs; without both none are taken.

        Args:
            jwt_secret: Of HS256; "" when no such tokens are taken.
            authorize: Asked before anything else is looked at.
            leeway: Seconds that a token goes on to hold after its end, and holds before its beginning.
            keys: Of RS256 and ES256; None when no such tokens are taken.
            issuer: What `iss` has to be; "" for anything.
            audience: What `aud` has to name; "" when there must be none.
        """
        self._secret = jwt_secret
        self._authorize = authorize
        self.asks = authorize is not None
        self._leeway = leeway
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._checked = lru_cache(maxsize=_REMEMBERED)(self._check)

    def verify(self, token: str) -> Grant:
        """Return what the bearer of the token may do.

        Raises:
            Unauthorized: It is not a token of ours, or tokens are not taken at all; the message says what is wrong.
            TokenExpired: Its time is over.
            Overloaded: The keys that it is checked with cannot be read now.
        """
        if not self._secret and self._keys is None:
            raise Unauthorized("Bearer tokens are not accepted; neither JWT_SECRET nor JWT_JWKS is set.")
        grant = self._checked(token, self._keys.version if self._keys else 0)
        if time.time() >= grant.expires_at:  # it may have been remembered for long
            raise TokenExpired("The token has expired.")
        return grant

    def connect(self, request: AuthorizeRequest) -> Grant | None:
        """Return what a socket that opens may do; None when its API key, or that it has none, decides.

        Raises:
            GatewayError: It is refused.
        """
        return self._decide(request)

    def ask(self, request: AuthorizeRequest) -> Grant | None:
        """Return what the hook grants; None when key and token decide.

        Raises:
            GatewayError: The hook refuses.
        """
        if self._authorize is None:
            return None
        granted = self._authorize(request)
        if granted is not None and not isinstance(granted, Grant):
            raise InternalError(f"The authorize hook gave a {type(granted).__name__}, neither a Grant nor None.")
        return granted

    def join(self, request: AuthorizeRequest) -> Grant | None:
        """Return what a socket may do in the channel that it joins; None when what held for it before still holds.

        Raises:
            GatewayError: It is refused.
        """
        return self._decide(request)

    def _decide(self, request: AuthorizeRequest) -> Grant | None:
        if (granted := self.ask(request)) is not None:
            return granted
        if not looks_like_token(request.token):
            return None
        grant = self.verify(request.token)
        if grant.app != request.app:
            raise Forbidden("The token is for another app.")
        return grant

    def _check(self, token: str, _: int) -> Grant:
        """The second argument tells tokens apart that were seen under other keys."""
        decoded = self._decode(token)
        try:
            claims = _Claims.model_validate(decoded)
            grant = Grant(claims.app, claims.sub or "", int(claims.exp) + self._leeway)
            for pattern, scopes in claims.can.items():
                grant.allow(pattern, scopes)
        except ValidationError as error:
            wrong = error.errors()[0]
            claim = ".".join(ascii(part).strip("'") for part in wrong["loc"])
            said = wrong["msg"].removeprefix("Value error, ")
            raise Unauthorized(f"The token's claim {claim} is not valid: {said}.") from None
        except InvalidParameter as error:
            raise Unauthorized(f"The token's claim can is not valid: {error.message}") from None
        return grant

    def _decode(self, token: str) -> dict[str, object]:
        # It imports ssl, and must not do so in a master that forks before gevent has patched ssl.
        import jwt  # noqa: PLC0415

        try:
            key, algorithm = self._key_of(jwt.get_unverified_header(token))
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                # A clock ahead of ours is no reason to refuse: `iat` says when a token was made, not when it begins.
                options={"verify_iat": False},
                leeway=self._leeway,
                issuer=self._issuer or None,
                audience=self._audience or None,
            )
        except jwt.ExpiredSignatureError:
            raise TokenExpired("The token has expired.") from None
        # PyJWT's own errors and, in older versions, those of claims whose type it does not expect and of JSON that is
        # nested too deeply.
        except (jwt.PyJWTError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise Unauthorized(f"The token is not valid: {str(error).rstrip('.')}.") from None

    def _key_of(self, header: dict[str, object]) -> tuple[PyJWK | str, str]:
        """The key that the header asks for, and the one algorithm that the key is for."""
        if "crit" in header:
            raise ValueError("its header has crit, and nothing that may stand there is known here")
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm == "HS256" and self._secret:
            return self._secret, "HS256"
        if algorithm in ("RS256", "ES256") and self._keys is not None and isinstance(kid, str | None):
            return self._keys.find(algorithm, kid), algorithm
        taken = [*(["HS256"] if self._secret else []), *(["RS256", "ES256"] if self._keys else [])]
        raise ValueError(f"its alg is not one of {', '.join(taken)}")
