"""What the C++ thread has for an engine elsewhere: taken all together, sent, and answered."""

from __future__ import annotations

from typing import Any, Protocol

import gevent
import structlog
from gevent.event import Event

from polyglot_gateway import _core
from polyglot_gateway.errors import EngineUnavailable

_log = structlog.get_logger("polyglot_gateway.server")


class Appender(Protocol):
    """Sends events to where they are kept (engine/redis_appender.py).

    Attributes:
        layout: How they are kept there.
    """

    layout: _core.RedisLayout

    def send(self, calls: _core.AppendCalls) -> object:
        """Settle or refuse every call; EngineUnavailable when it is not known what became of them."""


class AppendLoop:
    """One greenlet for one server: while some events are under way, those that come meanwhile gather."""

    def __init__(self, server: _core.Server, appender: Appender) -> None:
        self._server = server
        self._appender = appender
        self._waiting = Event()
        self._watcher: Any = None
        self._greenlet: gevent.Greenlet[..., Any] | None = None

    def start(self) -> None:
        """Take events from now on."""
        self._watcher = gevent.get_hub().loop.io(self._server.appends_fileno(), 1)
        self._watcher.start(self._wake)
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Take no more; what is under way has failed."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None
        if self._greenlet is not None:
            self._greenlet.kill()

    def _wake(self) -> None:
        # Until they are taken, the descriptor stays readable.
        self._watcher.stop()
        self._waiting.set()

    def _run(self) -> None:
        while True:
            self._waiting.wait()
            self._waiting.clear()
            calls = self._server.take_appends(self._appender.layout)
            if calls is not None:
                self._append(calls)
            self._watcher.start(self._wake)

    def _append(self, calls: _core.AppendCalls) -> None:
        try:
            self._appender.send(calls)
        except EngineUnavailable as error:
            calls.fail(error.code, error.message)
        except Exception as error:
            _log.error("appending failed", exc_info=error)
            calls.fail("internal_error", "Appending failed; the gateway's log says why.")
        else:
            calls.finish()
