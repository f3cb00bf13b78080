"""Routes whose channel name may hold slashes.

A WSGI server decodes the path before the application sees it, so `room%2F1` arrives as two segments. Behind
`/apps/{app}/channels/` the last segment is the action if it names one, and all before it is the channel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import falcon
from falcon.routing import CompiledRouter
from falcon.routing.util import set_default_responders

CHANNEL = "/apps/{app}/channels/{channel}"

Route = tuple[object, Any, dict[str, Any], str | None]


class MethodMap(dict[str, Callable[..., Any]]):
    """Responders by HTTP method; a method that HTTP does not know is refused like one that is not allowed."""

    def __missing__(self, _: str) -> Callable[..., Any]:
        return self["WEBSOCKET"]  # Falcon's own name for what no resource answers: 405 with Allow


class ChannelRouter(CompiledRouter):
    """Falcon's router, but for the templates that begin with `CHANNEL`."""

    __slots__ = ("_actions",)

    def __init__(self) -> None:
        super().__init__()
        self._actions: dict[str, tuple[object, MethodMap, str]] = {}

    def map_http_methods(self, resource: object, **kwargs: Any) -> Any:
        """Return the responders by method: the resource's own, and for all others what Falcon has."""
        methods = MethodMap(super().map_http_methods(resource, **kwargs))
        own_options = "OPTIONS" in methods
        set_default_responders(methods)
        if not own_options:
            methods["OPTIONS"] = _without_content(methods["OPTIONS"])
        return methods

    def add_route(self, uri_template: str, resource: object, **kwargs: Any) -> None:
        """Add a route; one of a channel has the form `CHANNEL` or `CHANNEL/action`."""
        if uri_template.startswith(CHANNEL):
            methods = self.map_http_methods(resource, **kwargs)
            self._actions[uri_template[len(CHANNEL) + 1 :]] = resource, methods, uri_template
        else:
            super().add_route(uri_template, resource, **kwargs)

    def find(self, uri: str, req: falcon.Request | None = None) -> Route | None:
        """Return (resource, responders, parameters, template), None when nothing is at this path."""
        if uri.startswith("/apps/"):
            app, channels, rest = uri[6:].partition("/channels/")
            if channels and "/" not in app:
                channel, slash, action = rest.rpartition("/")
                route = self._actions.get(action) if slash and action else None
                if route is None or (req is not None and _is_slash_escaped(req.env)):
                    channel, route = rest, self._actions.get("")
                if route is not None:
                    return route[0], route[1], {"app": app, "channel": channel}, route[2]
        return super().find(uri, req)


def _without_content(respond: Callable[..., Any]) -> Callable[..., Any]:
    """Answer 204 where Falcon answers 200 with the content type of a body that is not there."""

    def on_options(req: falcon.Request, resp: falcon.Response, **params: Any) -> None:
        respond(req, resp, **params)
        resp.status = falcon.HTTP_204
        resp.delete_header("Content-Length")  # not allowed with 204 (RFC 9110, section 8.6)

    return on_options


def _is_slash_escaped(env: dict[str, Any]) -> bool:
    """Whether the last slash of the path was sent as %2F: then it belongs to the channel and no action follows it."""
    raw: str = env.get("RAW_URI") or env.get("REQUEST_URI") or ""
    return "%2" in raw and "%2F" in raw.partition("?")[0].rpartition("/")[2].upper()
