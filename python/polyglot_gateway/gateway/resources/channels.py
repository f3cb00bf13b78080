"""GET /apps/{app}/channels and /apps/{app}/channels/{channel}."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import falcon

from polyglot_gateway import _core
from polyglot_gateway.engine.base import ChannelInfo, Engine
from polyglot_gateway.errors import InvalidChannel, InvalidParameter
from polyglot_gateway.gateway import parameters
from polyglot_gateway.gateway.credentials import Credentials


class Channels:
    """The channels of an app, by name."""

    def __init__(self, engine: Engine, credentials: Credentials) -> None:
        self._engine = engine
        self._credentials = credentials

    def on_get(self, req: falcon.Request, resp: falcon.Response, app: str) -> None:
        """Answer with a page of channels, and the cursor of the next page if there is one."""
        self._credentials.authorize(req.env, app, "history")
        limit = parameters.whole(req, "limit", 1, 1000)
        limit = 100 if limit is None else limit
        cursor = parameters.text(req, "cursor")
        infos = self._engine.channels(app, "" if cursor is None else _from_cursor(cursor), limit)
        more = len(infos) == limit and self._engine.channels(app, infos[-1].channel, 1)
        resp.media = {
            "app_id": app,
            "channels": [_as_json(info) for info in infos],
            "next": _to_cursor(infos[-1].channel) if more else None,
        }

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


def _to_cursor(channel: str) -> str:
    return base64.urlsafe_b64encode(channel.encode()).decode().rstrip("=")


def _from_cursor(cursor: str) -> str:
    try:
        channel = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        _core.check_channel(channel)
    except (binascii.Error, ValueError, InvalidChannel):
        raise InvalidParameter(f"cursor is {cursor!r}; allowed is what `next` of the page before says.") from None
    return channel
