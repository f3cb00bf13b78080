"""What every reply gets: one object and one call, because each costs every request."""

from __future__ import annotations

import falcon

from polyglot_gateway.errors import GatewayError
from polyglot_gateway.gateway.cors import Cors
from polyglot_gateway.gateway.parts import CountResponse
from polyglot_gateway.gateway.request_id import request_id


class Middleware:
    """Counts every reply and puts the request id on it, and the CORS headers when there are any to put."""

    def __init__(self, cors: Cors | None, count_response: CountResponse) -> None:
        self._cors = cors
        self._count_response = count_response

    def process_response(self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: bool) -> None:
        """Called by Falcon after the resource or the error handler."""
        resp.set_header("X-Request-ID", request_id(req))
        try:  # noqa: SIM105 (it costs less than contextlib.suppress)
            self._count_response(resp.status_code)
        except GatewayError:  # the engine may be closed
            pass
        if self._cors is not None:
            self._cors.apply(req, resp)
