"""What every reply gets: one object and one call, because each costs every request."""

from __future__ import annotations

import falcon

from polyglot_gateway.gateway.cors import Cors
from polyglot_gateway.gateway.request_id import request_id


class Middleware:
    """Puts the request id on every reply, and the CORS headers when there are any to put."""

    def __init__(self, cors: Cors | None) -> None:
        self._cors = cors

    def process_response(self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: bool) -> None:
        """Called by Falcon after the resource or the error handler."""
        resp.set_header("X-Request-ID", request_id(req))
        if self._cors is not None:
            self._cors.apply(req, resp)
