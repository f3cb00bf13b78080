"""GET /apps/{app}/limits."""

from __future__ import annotations

import falcon

from polyglot_gateway.gateway.credentials import Credentials
from polyglot_gateway.gateway.parts import Access


class Limits:
    """What an app may publish and have open, and what it does."""

    def __init__(self, access: Access, credentials: Credentials) -> None:
        self._access = access
        self._credentials = credentials

    def on_get(self, req: falcon.Request, resp: falcon.Response, app: str) -> None:
        """Answer with each limit and what is used of it in all workers; null where there is none."""
        self._credentials.authorize(req.env, app, "history")
        resp.data = self._access.limits(app)

    on_head = on_get
