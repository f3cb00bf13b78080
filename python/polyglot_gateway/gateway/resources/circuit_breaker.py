"""GET /api/debug/circuit-breaker."""

from __future__ import annotations

import falcon

from polyglot_gateway.gateway.parts import Report


class CircuitBreaker:
    """The state of the breakers before the processor, as the worker that answers has them."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200 with the state."""
        resp.media = self._report()

    on_head = on_get
