"""GET and DELETE /apps/{app}/channels/{channel}/history."""

from __future__ import annotations

import falcon

from polyglot_gateway.engine.base import Engine
from polyglot_gateway.gateway import parameters
from polyglot_gateway.gateway.credentials import Credentials


class History:
    """The past of a channel."""

    def __init__(self, engine: Engine, credentials: Credentials) -> None:
        self._engine = engine
        self._credentials = credentials

    def on_get(self, req: falcon.Request, resp: falcon.Response, app: str, channel: str) -> None:
        """Answer with the events that the parameters ask for."""
        self._credentials.authorize_channel(req.env, app, channel, "history")
        limit = parameters.whole(req, "limit", 1, 1000)
        resp.data = self._engine.history(
            app,
            channel,
            100 if limit is None else limit,
            parameters.whole(req, "since", 0, parameters.MAX_OFFSET),
            parameters.whole(req, "until", 0, parameters.MAX_OFFSET),
            parameters.boolean(req, "reverse"),
            parameters.epoch(req),
        )

    on_head = on_get

    def on_delete(self, req: falcon.Request, resp: falcon.Response, app: str, channel: str) -> None:
        """Forget the past; the reply names the new epoch."""
        self._credentials.authorize_channel(req.env, app, channel, "admin")
        resp.media = {"app_id": app, "channel": channel, "epoch": self._engine.forget(app, channel)}
