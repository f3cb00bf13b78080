"""The channels of an app, page by page."""

from __future__ import annotations

import base64
import binascii

import falcon

from polyglot_gateway import _core
from polyglot_gateway.engine.base import ChannelInfo, Engine
from polyglot_gateway.errors import InvalidChannel, InvalidParameter
from polyglot_gateway.gateway import parameters


def channel_page(
    req: falcon.Request, engine: Engine, app: str, *, most: int, default: int
) -> tuple[list[ChannelInfo], str | None]:
    """Return the page that the parameters `limit` and `cursor` ask for, and the cursor of the next, None on the last.

    Args:
        req: The request.
        engine: Knows the channels.
        app: App id.
        most: Largest `limit`.
        default: The `limit` where none is given.

    Raises:
        InvalidParameter: A parameter is wrong.
    """
    limit = parameters.whole(req, "limit", 1, most)
    limit = default if limit is None else limit
    cursor = parameters.text(req, "cursor")
    infos = engine.channels(app, "" if cursor is None else _from_cursor(cursor), limit)
    more = len(infos) == limit and engine.channels(app, infos[-1].channel, 1)
    return infos, _to_cursor(infos[-1].channel) if more else None


def _to_cursor(channel: str) -> str:
    return base64.urlsafe_b64encode(channel.encode()).decode().rstrip("=")


def _from_cursor(cursor: str) -> str:
    try:
        channel = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        _core.check_channel(channel)
    except (binascii.Error, ValueError, InvalidChannel):
        raise InvalidParameter(f"cursor is {cursor!r}; allowed is what `next` of the page before says.") from None
    return channel
