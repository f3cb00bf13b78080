"""GET /apps/{app}/channels/{channel}/presence."""

from __future__ import annotations

import falcon

from polyglot_gateway.gateway.credentials import Credentials


class Presence:
    """Who is in a channel. Members come by sockets, which the WSGI server has none of: with it nobody is there."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def on_get(self, req: falcon.Request, resp: falcon.Response, app: str, channel: str) -> None:
        """Answer with the members by key."""
        self._credentials.authorize_channel(req.env, app, channel, "history")
        resp.data = b'{"app_id":"%s","channel":"%s","count":0,"members":{}}' % (app.encode(), channel.encode())

    on_head = on_get
