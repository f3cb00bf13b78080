"""The REST interface over a real engine, without a server."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jwt
import pytest
from falcon import testing

from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.gateway import create_app
from polyglot_gateway.gateway.create_app import WsgiApp
from polyglot_gateway.gateway.tokens import Tokens
from polyglot_gateway.ops.health import Health
from polyglot_gateway.ops.metrics import Metrics
from polyglot_gateway.processor.base import UNBROKEN
from polyglot_gateway.realtime.event_stream import EventStreams
from polyglot_gateway.realtime.hub import Hub

SECRET = "the secret that signs the tokens of the tests, long enough for any algorithm"


@pytest.fixture
def secret() -> str:
    """What signs the tokens that the application takes."""
    return SECRET


@pytest.fixture
def make_token() -> Callable[..., str]:
    """Makes a token of `demo` that gives all scopes everywhere for a minute; what is given replaces a claim."""

    def make(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
        every = ["publish", "history", "subscribe", "presence"]
        payload = {"app": "demo", "exp": int(time.time()) + 60, "can": {"*": every}, "sub": "alice", **claims}
        return jwt.encode({name: value for name, value in payload.items() if value is not ...}, secret, algorithm)

    return make


@pytest.fixture
def hub(engine: EmbeddedEngine) -> Iterator[Hub]:
    hub = Hub(engine.follow)
    yield hub
    hub.close()


@pytest.fixture
def make_app(engine: EmbeddedEngine, hub: Hub) -> Callable[..., WsgiApp]:
    """Makes the application; what is given replaces a part of it."""

    def make(**parts: Any) -> WsgiApp:
        return create_app(
            **{
                "engine": engine,
                "access": engine,
                "streams": EventStreams(engine, hub),
                "count_refused": engine.count_refused,
                "count_response": engine.gateway.count_response,
                "ready": engine.ready,
                "health": Health(
                    engine,
                    engine.ready,
                    version="1.2.3",
                    environment="prod",
                    engine="embedded",
                    breaker=UNBROKEN.copy,
                ).report,
                "metrics": Metrics(engine, version="1.2.3", ready=engine.ready, is_native=lambda: False).exposition,
                "breaker": UNBROKEN.copy,
                "version": "1.2.3",
                "tokens": Tokens(SECRET),
                "max_batch_bytes": 4096,
                **parts,
            }
        )

    return make


@pytest.fixture
def app(make_app: Callable[..., WsgiApp]) -> WsgiApp:
    return make_app()


@pytest.fixture
def client(app: WsgiApp) -> testing.TestClient:
    """A client that sends a key with every scope."""
    return testing.TestClient(app, headers={"X-API-Key": "full-key"})


@pytest.fixture
def stranger(app: WsgiApp) -> testing.TestClient:
    """A client without a key."""
    return testing.TestClient(app)


class Reply:
    """A reply whose body is read block by block, as a server does."""

    def __init__(self, app: WsgiApp, environ: dict[str, Any]) -> None:
        self.status = ""
        self.headers: dict[str, str] = {}
        self._body: Iterable[bytes] = app(environ, self._start)
        self._blocks = iter(self._body)

    def _start(self, status: str, headers: list[tuple[str, str]], *_: object) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}

    def block(self) -> str:
        return next(self._blocks).decode()

    def close(self) -> None:
        if hasattr(self._body, "close"):
            self._body.close()


@pytest.fixture
def open_reply(app: WsgiApp) -> Iterator[Callable[..., Reply]]:
    """Sends a GET whose reply may have no end."""
    replies: list[Reply] = []

    def send(path: str, query: str = "", **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        environ = testing.create_environ(path, query_string=query, headers={"X-API-Key": "full-key", **named})
        replies.append(Reply(app, environ))
        return replies[-1]

    yield send
    for reply in replies:
        reply.close()
