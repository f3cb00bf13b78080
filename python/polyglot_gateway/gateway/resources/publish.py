"""POST /apps/{app}/channels/{channel}/publish."""

from __future__ import annotations

import falcon

from polyglot_gateway.engine.base import Publisher
from polyglot_gateway.gateway.body import read_body
from polyglot_gateway.gateway.content_type import JSON, require_json
from polyglot_gateway.gateway.credentials import Credentials
from polyglot_gateway.gateway.idempotency_key import idempotency_key
from polyglot_gateway.gateway.parts import Access
from polyglot_gateway.gateway.rate_limit import tell_rate_limit
from polyglot_gateway.gateway.source_address import SourceAddress
from polyglot_gateway.gateway.trace_parent import traceparent


class Publish:
    """Takes one event."""

    def __init__(self, publisher: Publisher, access: Access, credentials: Credentials, source: SourceAddress) -> None:
        self._publisher = publisher
        self._access = access
        self._credentials = credentials
        self._source = source

    def on_post(self, req: falcon.Request, resp: falcon.Response, app: str, channel: str) -> None:
        """Append the event; the reply is its acknowledgement.

        What most requests have nothing for is not called: a call costs as much as what it would do.
        """
        env = req.env
        user_id = self._credentials.authorize_channel(env, app, channel, "publish")
        if env.get("CONTENT_TYPE") != JSON or "HTTP_CONTENT_ENCODING" in env:
            require_json(env)
        key = idempotency_key(env) if "HTTP_IDEMPOTENCY_KEY" in env else ""
        trace = traceparent(env) if "HTTP_TRACEPARENT" in env else ""
        body = read_body(env, self._access.max_event_bytes(app, channel))
        ack = self._publisher.publish(app, channel, body, key, self._source.of(env), user_id, trace)
        resp.data = ack.body
        if limit := self._access.rate_limit(app):
            tell_rate_limit(resp, limit)
        if ack.spooled:
            resp.status = 202
        if ack.replayed:
            resp.set_header("Idempotency-Replayed", "true")
