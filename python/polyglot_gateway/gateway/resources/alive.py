"""GET /alive."""

from __future__ import annotations

import falcon


class Alive:
    """Says that the process answers, whatever else may be wrong."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200, always."""
        resp.data = b'{"status":"alive"}'

    on_head = on_get
