"""What the C++ thread has for an engine elsewhere: taken all together, sent, and answered.

Once that went well, the thread is lent a connection to do it by itself, which costs less and is faster. Whatever then
does not go as it should comes back here.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import gevent
import structlog
from gevent.event import Event

from polyglot_gateway import _core
from polyglot_gateway.engine.redis_nodes import ANSWER_SECONDS
from polyglot_gateway.errors import EngineUnavailable
from polyglot_gateway.server.readable import Readable

if TYPE_CHECKING:
    from polyglot_gateway.engine.redis_appender import RedisAppender

_log = structlog.get_logger("polyglot_gateway.server")


class AppendLoop:
    """One greenlet for one server: while some events are under way, those that come meanwhile gather."""

    def __init__(self, server: _core.Server, appender: RedisAppender) -> None:
        self._server = server
        self._appender = appender
        self._waiting = Event()
        self._readable = Readable(server.appends_fileno(), self._wake)
        self._greenlet: gevent.Greenlet[..., Any] | None = None

    def start(self) -> None:
        """Take events from now on."""
        self._readable.start()
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Take no more; what is under way has failed."""
        self._readable.stop()
        if self._greenlet is not None:
            self._greenlet.kill()
        self._appender.take_back()

    def _wake(self) -> None:
        # Until they are taken, the descriptor stays readable.
        self._readable.pause()
        self._waiting.set()

    def _run(self) -> None:
        while True:
            self._waiting.wait()
            self._waiting.clear()
            calls = self._server.take_appends(self._appender.layout)
            if calls is not None:
                self._append(calls)
            elif not self._server.has_append_wire():
                self._appender.take_back()
            self._readable.start()

    def _append(self, calls: _core.AppendCalls) -> None:
        try:
            self._appender.send(calls)
        except EngineUnavailable as error:
            calls.fail(error.code, error.message)
        except Exception as error:
            _log.error("appending failed", exc_info=error)
            calls.fail("internal_error", "Appending failed; the gateway's log says why.")
        else:
            try:
                self._lend(calls)
            except Exception as error:  # these events are kept all the same
                _log.warning("the server's thread got no connection", exc_info=error)
            calls.finish()

    def _lend(self, calls: _core.AppendCalls) -> None:
        """See that the thread sends what comes next by itself, where that may be."""
        for listed in self._appender.listed(calls.channels()):
            self._server.listed(*listed)
        if not self._server.has_append_wire():
            self._appender.take_back()
            with contextlib.suppress(EngineUnavailable):
                descriptor = self._appender.lend(self._server.revoke_append_wire)
                if descriptor is not None:
                    self._server.lend_append_wire(descriptor, self._appender.layout, ANSWER_SECONDS)
