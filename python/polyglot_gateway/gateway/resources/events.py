"""GET /apps/{app}/channels/{channel}/events."""

from __future__ import annotations

import socket
from functools import partial

import falcon

from polyglot_gateway.gateway import parameters
from polyglot_gateway.gateway.credentials import Allowed, Credentials
from polyglot_gateway.gateway.parts import Streams


class Events:
    """The events of a channel as they come, as server-sent events."""

    def __init__(self, streams: Streams, credentials: Credentials) -> None:
        self._streams = streams
        self._credentials = credentials

    def on_get(self, req: falcon.Request, resp: falcon.Response, app: str, channel: str) -> None:
        """Answer with a stream that begins after the position that the reader names, or now."""
        allowed, (epoch, since) = self._start(req, app, channel)
        connection = req.env.get("gunicorn.socket")  # other servers do not show it
        cut = partial(connection.shutdown, socket.SHUT_RDWR) if connection is not None else None
        resp.stream = self._streams.open(app, channel, epoch, since, cut, allowed.still)
        _describe(resp)

    def on_head(self, req: falcon.Request, resp: falcon.Response, app: str, channel: str) -> None:
        """Answer with the headers of the stream, without opening it."""
        self._start(req, app, channel)
        _describe(resp)

    def _start(self, req: falcon.Request, app: str, channel: str) -> tuple[Allowed, tuple[str, int | None]]:
        # A browser's EventSource cannot send headers, so here alone the key or token may stand in the URL.
        allowed = self._credentials.allowed(req.env, app, channel, "subscribe", parameters.text(req, "key"))
        return allowed, _position(req)


def _describe(resp: falcon.Response) -> None:
    resp.content_type = "text/event-stream"
    resp.set_header("Cache-Control", "no-store")
    resp.set_header("X-Accel-Buffering", "no")  # nginx would hold events back


def _position(req: falcon.Request) -> tuple[str, int | None]:
    """Where to begin. The header goes first: on reconnecting a browser sends it with the URL that it began with."""
    if last := req.env.get("HTTP_LAST_EVENT_ID"):
        return parameters.position("Last-Event-ID", last, epoch_needed=True)
    since = parameters.text(req, "since")
    return ("", None) if since is None else parameters.position("since", since, epoch_needed=False)
