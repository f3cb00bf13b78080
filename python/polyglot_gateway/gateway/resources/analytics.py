"""GET /apps/{app}/analytics."""

from __future__ import annotations

import falcon

from polyglot_gateway import _core
from polyglot_gateway.engine.base import Engine
from polyglot_gateway.gateway import parameters
from polyglot_gateway.gateway.channel_page import channel_page
from polyglot_gateway.gateway.credentials import Credentials

LONGEST_WINDOW = 604_800
LONGEST_BUCKET = 86_400


class Analytics:
    """Figures of the events that are kept, of one channel or of a page of an app's channels."""

    def __init__(self, engine: Engine, credentials: Credentials) -> None:
        self._engine = engine
        self._credentials = credentials

    def on_get(self, req: falcon.Request, resp: falcon.Response, app: str) -> None:
        """Answer with the figures that the parameters ask for."""
        # NumPy takes time and memory, which only a worker spends that is asked for figures.
        from polyglot_gateway.analytics.report import report  # noqa: PLC0415

        channel = parameters.text(req, "channel")
        if channel is None:
            self._credentials.authorize(req.env, app, "history")
        else:
            self._credentials.authorize_channel(req.env, app, channel, "history")
        fields = parameters.texts(req, "field")
        window = parameters.whole(req, "window", 1, LONGEST_WINDOW) or 0
        bucket = parameters.whole(req, "bucket", 1, LONGEST_BUCKET)
        _core.check_columns(fields, window)
        if channel is not None:
            resp.media = {"app_id": app, **report(self._engine.columns(app, channel, fields, window), bucket)}
            return
        infos, cursor = channel_page(req, self._engine, app, most=100, default=10)
        resp.media = {
            "app_id": app,
            "channels": [report(self._engine.columns(app, info.channel, fields, window), bucket) for info in infos],
            "next": cursor,
        }

    on_head = on_get
