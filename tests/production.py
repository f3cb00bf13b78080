"""A gateway in production: the apps `demo` and `other`, each with one key, channel rules, and bearer tokens."""

import hashlib
import math
import time
from pathlib import Path

import jwt
from tests.serving import Gateway, free_port

SECRET = "of the tests alone, and longer than 32 bytes"
KEYS = {"demo": "the key of demo", "other": "the key of other"}

RULES = """
rules = [
  { channels = "open:*", public_read = true },
  { channels = "chat:*", client_publish = true, presence = true },
  { channels = "small:*", client_publish = true, max_event_bytes = 128 },
  { channels = "brief:*", history_ttl = 0.2 },
  { channels = "latest:*", conflate = true },
]
"""


def token(
    can: dict[str, list[str]], app: str = "demo", sub: str | None = None, seconds: float = 60, secret: str = SECRET
) -> str:
    """Make a token that ends in so many seconds from now; `exp` has whole ones, so up to one second later."""
    claims = {"app": app, "can": can, "exp": math.ceil(time.time() + seconds)}
    return jwt.encode(claims | ({"sub": sub} if sub else {}), secret, "HS256")


class ProductionGateway(Gateway):
    """A gateway whose client has the key of the app that it asks about."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        config = []
        for app, key in KEYS.items():
            digest = hashlib.sha256(key.encode()).hexdigest()
            scopes = '["publish", "history", "subscribe", "admin", "presence"]'
            config.append(f'[apps.{app}]\nkeys = [{{ sha256 = "{digest}", scopes = {scopes} }}]{RULES}')
        (folder / "polyglot.toml").write_text("\n".join(config))
        strict = {"POLYGLOT_ENV": "prod", "JWT_SECRET": SECRET, "LOG_FORMAT": "console"}
        super().__init__(folder, free_port(), arguments, strict | environment)

    def key_of(self, app: str) -> str:
        return KEYS[app]
