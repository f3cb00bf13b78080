"""GET /ready."""

from __future__ import annotations

import falcon

from polyglot_gateway.gateway.parts import Reasons


class Ready:
    """Says whether requests should be sent here."""

    def __init__(self, reasons: Reasons) -> None:
        self._reasons = reasons

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200, or 503 with the reasons."""
        if reasons := self._reasons():
            resp.status = 503
            resp.set_header("Retry-After", "1")
            resp.media = {"status": "not_ready", "reasons": reasons}
        else:
            resp.data = b'{"status":"ready"}'

    on_head = on_get
