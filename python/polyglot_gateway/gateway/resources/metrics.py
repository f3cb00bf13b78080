"""GET /metrics."""

from __future__ import annotations

import falcon

from polyglot_gateway.gateway.parts import Exposition


class Metrics:
    """The counters of all workers, for Prometheus."""

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer in the format that the scraper asks for."""
        resp.data, resp.content_type = self._exposition(req.env.get("HTTP_ACCEPT", ""))

    on_head = on_get
