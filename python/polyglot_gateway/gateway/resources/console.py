"""GET /console, and the files that the page is made of."""

from __future__ import annotations

import falcon

from polyglot_gateway.console.assets import Assets

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",  # a form that is sent without its script would put the key into a URL
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",  # no text becomes HTML, whoever tries
        "trusted-types 'none'",
    )
)


class ConsolePage:
    """The page itself. It is static and holds no secret; what it shows, it asks for with its visitor's key."""

    def __init__(self, assets: Assets) -> None:
        self._page = assets.page
        self._version = assets.version

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the page, or 304 to who has it."""
        resp.set_header("Content-Security-Policy", _POLICY)
        resp.set_header("Referrer-Policy", "no-referrer")
        resp.set_header("X-Content-Type-Options", "nosniff")
        resp.set_header("Cache-Control", "no-cache")  # kept, but asked about each time
        resp.etag = self._version
        known = req.if_none_match or ()
        if any(etag in ("*", self._version) for etag in known):
            resp.status = falcon.HTTP_304
            return
        resp.content_type = "text/html; charset=utf-8"
        resp.data = self._page

    on_head = on_get


class ConsoleAsset:
    """What the page is made of. A version never changes, so it may be kept for ever."""

    def __init__(self, assets: Assets) -> None:
        self._assets = assets

    def on_get(self, req: falcon.Request, resp: falcon.Response, version: str, name: str) -> None:
        """Answer with the file."""
        asset = self._assets.get(version, name)
        if asset is None:
            raise falcon.HTTPRouteNotFound
        resp.set_header("X-Content-Type-Options", "nosniff")
        resp.set_header("Cache-Control", "public, max-age=31536000, immutable")
        resp.content_type = asset.content_type
        resp.data = asset.body

    on_head = on_get
