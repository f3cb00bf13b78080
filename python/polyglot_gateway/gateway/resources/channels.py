"""GET /apps/{app}/channels and /apps/{app}/channels/{channel}."""

from __future__ import annotations

from typing import Any

import falcon

from polyglot_gateway.engine.base import ChannelInfo, Engine
from polyglot_gateway.gateway.channel_page import channel_page
from polyglot_gateway.gateway.credentials import Credentials


class Channels:
    """The channels of an app, by name."""

    def __init__(self, engine: Engine, credentials: Credentials) -> None:
        self._engine = engine
        self._credentials = credentials

    def on_get(self, req: falcon.Request, resp: falcon.Response, app: str) -> None:
        """Answer with a page of channels, and the cursor of the next page if there is one."""
        self._credentials.authorize(req.env, app, "history")
        infos, cursor = channel_page(req, self._engine, app, most=1000, default=100)
        resp.media = {"app_id": app, "channels": [_as_json(info) for info in infos], "next": cursor}

    on_head = on_get


class Channel:
    """Where one channel stands; one that never was stands at offset 0."""

    def __init__(self, engine: Engine, credentials: Credentials) -> None:
        self._engine = engine
        self._credentials = credentials

    def on_get(self, req: falcon.Request, resp: falcon.Response, app: str, channel: str) -> None:
        """Answer with the channel's positions."""
        self._credentials.authorize_channel(req.env, app, channel, "history")
        resp.media = {"app_id": app, **_as_json(self._engine.channel(app, channel))}

    on_head = on_get


def _as_json(info: ChannelInfo) -> dict[str, Any]:
    return {
        "channel": info.channel,
        "epoch": info.epoch,
        "first_offset": info.first_offset,
        "last_offset": info.last_offset,
        "count": info.last_offset - info.first_offset + 1,
        "last_published": info.last_published,
    }
