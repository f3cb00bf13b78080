"""The engines that the contract is asked of, each behind a factory that says how to open it.

Every test here is about `polyglot_gateway.engine.base.Engine` alone. A further engine needs a `Factory` and a line in
`FACTORIES`; the tests stay as they are.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
import json
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from tests.redis_server import VOLATILE, RedisCluster, RedisServer

from polyglot_gateway import _core
from polyglot_gateway.engine.base import Ack, Engine, Feed, Page
from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.engine.redis import RedisEngine

PATIENCE = 10.0


class Factory(Protocol):
    """Opens engines on one store: each is what a worker of its own would have.

    Attributes:
        history_size: Most events of a channel that are kept.
        idempotency_keys: So many keys are remembered and not one more; None when only memory bounds them.
        overrun_bytes: A feed that is not polled while so many bytes are appended misses some news; None when that takes
            more than there is time for.
    """

    history_size: int
    idempotency_keys: int | None
    overrun_bytes: int | None

    def __call__(self, history_ttl: float = 0.0) -> Engine:
        """One more engine on the same store, which holds events for `history_ttl` seconds (0: for ever)."""

    def apart(self) -> Factory:
        """A factory of the same engine on a new and empty store."""

    def program(self) -> str:
        """Python that opens one more engine in another process, as `engine`."""

    def close(self) -> None:
        """Close what was opened and remove the store."""


class EmbeddedFactory:
    """Engines on one data folder."""

    history_size = 50
    idempotency_keys: int | None = 64
    overrun_bytes = 4 << 20

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sizes = {
            "history_size": self.history_size,
            "history_bytes": self.overrun_bytes,
            "max_channels": 64,
            "idempotency_keys": self.idempotency_keys,
        }
        self._opened: list[Engine] = []
        self._others: list[EmbeddedFactory] = []

    def __call__(self, history_ttl: float = 0.0) -> Engine:
        engine = EmbeddedEngine(str(self._folder), **self._sizes)
        rule = _core.ChannelRule(history_size=self.history_size, history_ttl=history_ttl)
        engine.configure(_core.Access(development=True), _core.Rules(rule))
        self._opened.append(engine)
        return engine

    def apart(self) -> EmbeddedFactory:
        other = EmbeddedFactory(self._folder / f"apart-{len(self._others)}")
        self._others.append(other)
        return other

    def program(self) -> str:
        return (
            "from polyglot_gateway.engine.embedded import EmbeddedEngine\n"
            f"engine = EmbeddedEngine({str(self._folder)!r}, **{self._sizes!r})\n"
        )

    def close(self) -> None:
        for engine in self._opened:
            engine.close()
        for other in self._others:
            other.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class RedisFactory:
    """Engines on one Redis, under one prefix; each has a data folder of its own, as instances on several hosts do."""

    history_size = 50
    idempotency_keys: int | None = None
    # Redis drops a subscriber for whom 64 KiB wait; the kernel keeps a few hundred more.
    overrun_bytes: int | None = 400 << 20
    _server: type[RedisServer] | type[RedisCluster] = RedisServer
    _stores = itertools.count()

    def __init__(self, folder: Path) -> None:
        self._url = url_of(self._server)
        self._options = {"prefix": f"store-{next(self._stores)}", "history_size": self.history_size}
        self._folder = folder
        self._opened: list[Engine] = []
        self._others: list[RedisFactory] = []

    def __call__(self, history_ttl: float = 0.0) -> Engine:
        local = EmbeddedEngine(str(self._folder / str(len(self._opened))), history_bytes=1 << 20, max_channels=10)
        rule = _core.ChannelRule(history_size=self.history_size, history_ttl=history_ttl)
        local.configure(_core.Access(development=True), _core.Rules(rule))
        self._opened.append(RedisEngine(local, self._url, **self._options))
        return self._opened[-1]

    def apart(self) -> RedisFactory:
        self._others.append(type(self)(self._folder / f"apart-{len(self._others)}"))
        return self._others[-1]

    def program(self) -> str:
        return (
            "import tempfile\n"
            "from polyglot_gateway.engine.embedded import EmbeddedEngine\n"
            "from polyglot_gateway.engine.redis import RedisEngine\n"
            "local = EmbeddedEngine(tempfile.mkdtemp(), history_bytes=1 << 20, max_channels=10)\n"
            f"engine = RedisEngine(local, {self._url!r}, **{self._options!r})\n"
        )

    def close(self) -> None:
        for engine in self._opened:
            engine.close()
        for other in self._others:
            other.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class ClusterFactory(RedisFactory):
    """The same on three masters that share the keys."""

    # A connection over TCP takes in much more before it is full.
    overrun_bytes = None
    _server = RedisCluster


@functools.cache
def url_of(server: type[RedisServer] | type[RedisCluster]) -> str:
    """Of one that all tests share."""
    limit = ("--client-output-buffer-limit", "pubsub 64kb 64kb 0", *VOLATILE)
    started = server(Path(tempfile.mkdtemp()), *limit)
    atexit.register(started.close)
    return started.url


FACTORIES: dict[str, Callable[[Path], Factory]] = {
    "embedded": EmbeddedFactory,
    "redis": RedisFactory,
    "cluster": ClusterFactory,
}


@pytest.fixture(params=sorted(FACTORIES))
def engine_factory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Factory]:
    factory = FACTORIES[request.param](tmp_path / "store")
    yield factory
    factory.close()


@pytest.fixture
def engine(engine_factory: Factory) -> Engine:
    return engine_factory()


@pytest.fixture
def other(engine_factory: Factory, engine: Engine) -> Engine:
    """A second opener of the store that `engine` uses."""
    return engine_factory()


class Say:
    """Publishes small events whose data is a number or a text, and reads them back."""

    @staticmethod
    def body(data: Any = "Hello", type_: str = "message") -> bytes:
        return json.dumps({"type": type_, "data": data}).encode()

    def publish(self, engine: Engine, channel: str, *data: Any, **kwargs: str) -> list[Ack]:
        return [engine.publish("demo", channel, self.body(one), **kwargs) for one in data]

    @staticmethod
    def batch(*events: tuple[str, Any]) -> bytes:
        sent = [{"channel": channel, "type": "message", "data": data} for channel, data in events]
        return json.dumps({"events": sent}).encode()

    @staticmethod
    def history(engine: Engine, channel: str, **kwargs: Any) -> dict[str, Any]:
        return json.loads(engine.history("demo", channel, **{"limit": 1000, **kwargs}))

    def kept(self, engine: Engine, channel: str) -> list[Any]:
        """The data of all events that can be read, oldest first."""
        return [event["data"] for event in self.history(engine, channel)["events"]]

    @staticmethod
    def data(page: Page) -> list[Any]:
        return [json.loads(envelope)["data"] for _, envelope in page.events]


@pytest.fixture
def say() -> Say:
    return Say()


@pytest.fixture
def wait_for_news() -> Callable[[Feed, int], tuple[set[tuple[str, str]], bool]]:
    """Polls as a worker does until `enough` channels have news; fails when they do not come."""

    def wait(feed: Feed, enough: int = 1) -> tuple[set[tuple[str, str]], bool]:
        found: set[tuple[str, str]] = set()
        deadline = time.monotonic() + PATIENCE
        with selectors.DefaultSelector() as selector:
            selector.register(feed.fileno(), selectors.EVENT_READ)
            while True:
                news, missed = feed.poll()
                assert len(news) == len(set(news)), "a channel is named once a poll"
                found.update(news)
                if missed or len(found) >= enough:
                    return found, missed
                if not news:
                    assert time.monotonic() < deadline, f"waited {PATIENCE} s for news of {enough} channels"
                    selector.select(1.0)

    return wait


@pytest.fixture
def spawn(engine_factory: Factory) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts a process that has an engine of its own on the store, as `engine`, and goes on with the given program."""
    with contextlib.ExitStack() as stack:

        def start(program: str, *arguments: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-c", engine_factory.program() + program, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start
