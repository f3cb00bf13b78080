"""The gateway with one route more, for gunicorn: a POST that reads the body and answers a constant."""

from __future__ import annotations

import falcon

from polyglot_gateway.app import Application, create_app

REPLY = b'{"id":"evt_01JD5Z0000000000000000000000","timestamp":"2025-11-17T18:39:56.107549Z","offset":1,"epoch":""}'


class Constant:
    """As little as a route can do that takes a body."""

    def on_post(self, req: falcon.Request, resp: falcon.Response, **_: str) -> None:
        req.stream.read(req.content_length)
        resp.data = REPLY


def application() -> Application:
    """What gunicorn serves: the publish route and the constant one, behind the same middleware."""
    app = create_app()
    app.falcon.add_route("/constant", Constant())
    return app
