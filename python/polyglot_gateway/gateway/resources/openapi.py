"""GET /openapi.json."""

from __future__ import annotations

import json
from functools import lru_cache

import falcon

from polyglot_gateway.gateway.openapi import document


class OpenApi:
    """The description of this interface."""

    def __init__(self, version: str) -> None:
        @lru_cache(maxsize=8)
        def body(root: str) -> bytes:
            return json.dumps(document(version, root)).encode()

        self._body = body

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the OpenAPI 3.1 document; its server is where the application is mounted."""
        resp.data = self._body(req.root_path or "/")

    on_head = on_get
