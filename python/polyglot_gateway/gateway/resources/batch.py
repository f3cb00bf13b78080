"""POST /apps/{app}/publish."""

from __future__ import annotations

import falcon

from polyglot_gateway.engine.base import Publisher
from polyglot_gateway.gateway.body import read_body
from polyglot_gateway.gateway.content_type import is_ndjson
from polyglot_gateway.gateway.credentials import Credentials
from polyglot_gateway.gateway.idempotency_key import idempotency_key
from polyglot_gateway.gateway.parts import RateLimitOf
from polyglot_gateway.gateway.rate_limit import tell_rate_limit
from polyglot_gateway.gateway.source_address import SourceAddress
from polyglot_gateway.gateway.trace_parent import traceparent


class Batch:
    """Takes many events, for any channels of the app, each on its own."""

    def __init__(
        self,
        publisher: Publisher,
        credentials: Credentials,
        source: SourceAddress,
        max_bytes: int,
        rate_limit: RateLimitOf,
    ) -> None:
        self._publisher = publisher
        self._credentials = credentials
        self._source = source
        self._max_bytes = max_bytes
        self._rate_limit = rate_limit

    def on_post(self, req: falcon.Request, resp: falcon.Response, app: str) -> None:
        """Append the events; the reply has an acknowledgement or an error for each, in order."""
        env = req.env
        user_id = self._credentials.authorize(env, app, "publish")
        ndjson = is_ndjson(env)
        key = idempotency_key(env)
        body = read_body(env, self._max_bytes)
        resp.data = self._publisher.publish_batch(
            app, body, ndjson, key, self._source.of(env), user_id, traceparent(env)
        )
        tell_rate_limit(resp, self._rate_limit(app))
