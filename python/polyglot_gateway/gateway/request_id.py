"""Request ids: the caller's own, when it is fit to be logged, else a new one."""

from __future__ import annotations

import os
import re

import falcon

_GIVEN = re.compile(r"[A-Za-z0-9._-]{1,128}")
_KEPT = "polyglot_gateway.request_id"


def request_id(req: falcon.Request) -> str:
    """Return the id of the request: `X-Request-ID` if it is 1-128 of `A-Z a-z 0-9 . _ -`, else 32 hex digits."""
    env = req.env
    if kept := env.get(_KEPT):
        return str(kept)
    given = env.get("HTTP_X_REQUEST_ID")
    made: str = given if given and _GIVEN.fullmatch(given) else os.urandom(16).hex()
    env[_KEPT] = made
    return made
