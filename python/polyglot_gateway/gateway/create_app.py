"""The Falcon application, made from its parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import falcon
import msgspec
from falcon.media import JSONHandler

from polyglot_gateway.console.assets import Assets
from polyglot_gateway.engine.base import Engine, Publisher
from polyglot_gateway.gateway.cors import Cors
from polyglot_gateway.gateway.credentials import Credentials
from polyglot_gateway.gateway.middleware import Middleware
from polyglot_gateway.gateway.parts import Access, CountRefused, CountResponse, Exposition, Reasons, Report, Streams
from polyglot_gateway.gateway.problems import Problems
from polyglot_gateway.gateway.resources.alive import Alive
from polyglot_gateway.gateway.resources.analytics import Analytics
from polyglot_gateway.gateway.resources.batch import Batch
from polyglot_gateway.gateway.resources.broadcast import Broadcast
from polyglot_gateway.gateway.resources.channels import Channel, Channels
from polyglot_gateway.gateway.resources.circuit_breaker import CircuitBreaker
from polyglot_gateway.gateway.resources.console import ConsoleAsset, ConsolePage
from polyglot_gateway.gateway.resources.events import Events
from polyglot_gateway.gateway.resources.health import Health
from polyglot_gateway.gateway.resources.history import History
from polyglot_gateway.gateway.resources.limits import Limits
from polyglot_gateway.gateway.resources.metrics import Metrics
from polyglot_gateway.gateway.resources.openapi import OpenApi
from polyglot_gateway.gateway.resources.presence import Presence
from polyglot_gateway.gateway.resources.publish import Publish
from polyglot_gateway.gateway.resources.ready import Ready
from polyglot_gateway.gateway.router import CHANNEL, ChannelRouter
from polyglot_gateway.gateway.source_address import SourceAddress
from polyglot_gateway.gateway.tokens import Tokens

WsgiApp = falcon.App[Any, Any]


def create_app(
    engine: Engine,
    access: Access,
    streams: Streams,
    *,
    count_refused: CountRefused,
    count_response: CountResponse,
    ready: Reasons,
    health: Report,
    metrics: Exposition,
    breaker: Report,
    version: str,
    publisher: Publisher | None = None,
    tokens: Tokens | None = None,
    max_batch_bytes: int = 1_048_576,
    cors_origins: Sequence[str] = (),
    trusted_proxies: Sequence[str] = (),
    console: bool = False,
) -> WsgiApp:
    """Return the WSGI application with every route; more routes may be added to it.

    It keeps nothing outside itself and heeds SCRIPT_NAME, so it can be mounted inside another WSGI application.

    Args:
        engine: Keeps the events.
        access: Decides who may do what by API key.
        streams: Opens the event streams.
        count_refused: Told the code of each error that was answered.
        count_response: Told the status of each reply.
        ready: Asked by /ready.
        health: Asked by /health.
        metrics: Asked by /metrics.
        breaker: Asked by /api/debug/circuit-breaker.
        version: Of the gateway, for the OpenAPI document.
        publisher: Takes events in place of the engine.
        tokens: Decides who may do what by bearer token or by a hook; without it none is taken.
        max_batch_bytes: Largest body of a batch or broadcast.
        cors_origins: Origins whose pages may call; "*" for any, none for no CORS headers at all.
        trusted_proxies: Addresses and networks whose X-Forwarded-For is believed.
        console: Whether the web page is served.
    """
    cors = Cors(cors_origins) if cors_origins else None
    app: WsgiApp = falcon.App(router=ChannelRouter(), middleware=Middleware(cors, count_response))
    # It takes a tenth of the time that the standard library takes.
    app.resp_options.media_handlers[falcon.MEDIA_JSON] = JSONHandler(dumps=msgspec.json.encode)
    Problems(count_refused, access.rate_limit).install(app)
    source = SourceAddress(trusted_proxies)
    credentials = Credentials(access, tokens or Tokens(), source)
    publisher = publisher or engine
    app.add_route(f"{CHANNEL}/publish", Publish(publisher, access, credentials, source))
    app.add_route(f"{CHANNEL}/history", History(engine, credentials))
    app.add_route(f"{CHANNEL}/events", Events(streams, credentials))
    app.add_route(f"{CHANNEL}/presence", Presence(credentials))
    app.add_route(CHANNEL, Channel(engine, credentials))
    app.add_route("/apps/{app}/channels", Channels(engine, credentials))
    app.add_route("/apps/{app}/analytics", Analytics(engine, credentials))
    app.add_route("/apps/{app}/publish", Batch(publisher, credentials, source, max_batch_bytes, access.rate_limit))
    broadcast = Broadcast(publisher, credentials, source, max_batch_bytes, access.rate_limit)
    app.add_route("/apps/{app}/broadcast", broadcast)
    app.add_route("/apps/{app}/limits", Limits(access, credentials))
    app.add_route("/alive", Alive())
    app.add_route("/ready", Ready(ready))
    app.add_route("/health", Health(health))
    app.add_route("/metrics", Metrics(metrics))
    app.add_route("/openapi.json", OpenApi(version))
    app.add_route("/api/debug/circuit-breaker", CircuitBreaker(breaker))
    if console:
        assets = Assets()
        app.add_route("/console", ConsolePage(assets))
        app.add_route("/console/{version}/{name:path}", ConsoleAsset(assets))
    return app
