"""GET /api/debug/circuit-breaker."""

from __future__ import annotations

import falcon


class CircuitBreaker:
    """The state of the breaker before the processor; the embedded processor runs in process and needs none."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200 with the state."""
        resp.data = b'{"enabled":false,"processor":"embedded","state":"closed"}'

    on_head = on_get
