"""The settings of bearer tokens and of the authorize hook: who vouches for clients that have no API key."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings

from polyglot_gateway.settings_apps import FunctionName

_MIN_SECRET_BYTES = 32
_KNOWN_SECRETS = {
    "a-string-secret-at-least-256-bits-long",
    "a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
    "your-secret-key-change-in-production",
    "your-super-secret-jwt-token-with-at-least-32-characters-long",
}
"""Of documents and examples, and long enough to be taken."""


def _utf8(secret: SecretStr) -> SecretStr:
    try:
        secret.get_secret_value().encode()
    except UnicodeEncodeError:
        raise ValueError("must be text in UTF-8") from None
    return secret


def _source(text: str) -> str:
    """A path, or a URL. What is wrong with one is said without it, for the sake of a password that it may hold."""
    scheme, colon, _ = text.partition("://")
    if not colon:
        return text
    try:
        parts = urlsplit(text)
        right = scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if not right or not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("must be the path of a file, or http:// or https:// and a host")
    if "@" in parts.netloc:
        raise ValueError("must have no user and no password in it: a key set is public")
    return text


class TokenSettings(BaseSettings):
    """What bearer tokens are checked with, and the function that is asked before they are."""

    jwt_secret: Annotated[SecretStr, AfterValidator(_utf8)] = Field(
        SecretStr(""), description="signs the bearer tokens (HS256); none of these are taken without"
    )
    jwt_jwks: Annotated[str | None, BeforeValidator(lambda v: _source(v) if isinstance(v, str) else v)] = Field(
        None, description="file or URL of the JSON Web Key Set whose keys sign bearer tokens (RS256, ES256)"
    )
    jwt_issuer: str | None = Field(None, description="what the claim iss of a token has to be; any or none without")
    jwt_audience: str | None = Field(
        None, description="what the claim aud of a token has to name; tokens have none without"
    )
    authorize: FunctionName | None = Field(
        None, description="module:function, asked before key and token at each connect, join and request"
    )

    def without_jwks(self) -> Self:
        """The same where no key set is read."""
        return self.model_copy(update={"jwt_jwks": None})

    def weak_tokens(self) -> list[str]:
        """Why others could make tokens too, one line each; never shows the secret."""
        wrong = []
        secret = self.jwt_secret.get_secret_value()
        if secret in _KNOWN_SECRETS:
            wrong.append("jwt_secret: is one that everybody knows")
        elif secret and len(secret.encode()) < _MIN_SECRET_BYTES:
            wrong.append(f"jwt_secret: is shorter than {_MIN_SECRET_BYTES} bytes")
        wrong = [f"{line}; with POLYGLOT_ENV=prod make one with `openssl rand -hex 32`" for line in wrong]
        url = urlsplit(self.jwt_jwks or "")
        if url.scheme == "http" and not is_loopback(url.hostname or ""):
            wrong.append(
                f"jwt_jwks: {self.jwt_jwks!r}: whoever is between could put keys of their own in; with "
                "POLYGLOT_ENV=prod use https:// (http:// is for this machine alone)"
            )
        return wrong


def is_loopback(host: str) -> bool:
    """Whether the name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
