"""Cross-origin requests from web pages (the CORS protocol of the WHATWG Fetch standard)."""

from __future__ import annotations

from collections.abc import Sequence

import falcon

_ALLOWED_HEADERS = "X-API-Key, Content-Type, Idempotency-Key, Last-Event-ID, X-Request-ID, Authorization"
_EXPOSED_HEADERS = "X-Request-ID, Idempotency-Replayed, Retry-After"
_PREFLIGHT_SECONDS = "600"


class Cors:
    """Adds the headers that let pages of some origins read replies; credentials such as cookies are never asked for."""

    def __init__(self, origins: Sequence[str]) -> None:
        """Allow these origins; "*" among them allows any."""
        self._any = "*" in origins
        self._origins = {origin.lower() for origin in origins}

    def apply(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Add the headers to the reply; to a preflight also what may be sent."""
        resp.append_header("Vary", "Origin")
        origin = req.env.get("HTTP_ORIGIN")
        if not origin or not (self._any or origin.lower() in self._origins):
            return
        resp.set_header("Access-Control-Allow-Origin", "*" if self._any else origin)
        if req.method == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in req.env:
            resp.set_header("Access-Control-Allow-Methods", resp.get_header("Allow") or "")
            resp.set_header("Access-Control-Allow-Headers", _ALLOWED_HEADERS)
            resp.set_header("Access-Control-Max-Age", _PREFLIGHT_SECONDS)
        else:
            resp.set_header("Access-Control-Expose-Headers", _EXPOSED_HEADERS)
