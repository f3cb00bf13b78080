"""GET /health."""

from __future__ import annotations

import falcon

from polyglot_gateway.gateway.parts import Report


class Health:
    """Tells a person how the gateway is."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200 with the full status; whether to send requests here is said by /ready."""
        resp.media = self._report()

    on_head = on_get
