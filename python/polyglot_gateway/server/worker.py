"""gunicorn's gevent worker with the native server in it.

`polyglot serve` runs it, and so does `gunicorn -k polyglot_gateway.server.worker.NativeWorker
'polyglot_gateway.app:create_app()'`. A C++ thread serves the listening sockets that all workers share; the application
runs in greenlets, and gets what the thread does not answer itself.

The thread also gives gunicorn's master the sign of life, for as long as Python gave one itself within the last two
minutes: Python code that blocks for less neither stops what C++ serves nor gets the worker killed, whatever --timeout
is.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any, cast

import gevent
from gevent.event import Event
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http.wsgi import base_environ
from gunicorn.workers.ggevent import GeventWorker

# Here, and not when it is first used: what cannot be imported stops the master, before it makes workers without end.
from polyglot_gateway import _core
from polyglot_gateway.app import Application
from polyglot_gateway.server.handoff import Handoff
from polyglot_gateway.server.hooks import HELD_BACK
from polyglot_gateway.server.process_loop import ProcessLoop

BOOT_ERROR = 3
"""Exit status that tells gunicorn's master to stop instead of starting the worker again."""

# The master goes on to hear the signals that a worker of its own holds back.
os.register_at_fork(after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK))


class NativeWorker(GeventWorker):
    """One process: a C++ thread that serves, and gevent's loop for the application."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Called in the master, right before the fork.

        Signals are held back from here until the worker can handle them: a SIGTERM that it took for the master's would
        be lost, and the master would wait for it for all of graceful_timeout.
        """
        super().__init__(*args, **kwargs)
        self._stopping = Event()
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)

    @classmethod
    def check_config(cls, cfg: Config, log: Logger) -> None:
        """Refuse what the native server has not; called by the master before the first fork."""
        if cfg.is_ssl:
            print("polyglot: NativeWorker has no TLS: leave --certfile out and put nginx in front", file=sys.stderr)
            sys.exit(1)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM: drain."""
        super().handle_exit(sig, frame)
        self._stopping.set()

    def load_wsgi(self) -> None:
        """Make the application and its server. What fails here stops the master; in `run` it would try for ever."""
        super().load_wsgi()
        if not isinstance(self.wsgi, Application):
            print("polyglot: NativeWorker serves polyglot_gateway.app:create_app(), nothing else", file=sys.stderr)
            sys.exit(BOOT_ERROR)
        self._server = self.wsgi.native_server(max_connections=self.worker_connections)

    def run(self) -> None:
        """Serve until told to stop, then until every client has gone or graceful_timeout is over."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
        application = cast("Application", self.wsgi)
        server = self._server
        elsewhere = None
        if application.remote:
            # It imports ssl, which gevent wants to patch first.
            from polyglot_gateway.server.elsewhere import Elsewhere  # noqa: PLC0415

            elsewhere = Elsewhere(server, application.remote)
        processing = ProcessLoop(server, application.processor) if application.processor else None
        handoff = Handoff(server, application.falcon, application.tokens, self._environ(), elsewhere)
        server.start([listener.fileno() for listener in self.sockets], self.tmp.fileno())
        handoff.start()
        if elsewhere:
            elsewhere.start()
        if processing:
            processing.start()
        try:
            while self.alive and server.requests() < self.max_requests:
                self._show_life(server)
                self._stopping.wait(1.0)
            self._drain(application, server)
        finally:
            handoff.stop()
            server.stop()
            if processing:
                processing.stop()
            if elsewhere:
                elsewhere.stop()

    def _drain(self, application: Application, server: _core.Server) -> None:
        application.drain()
        server.drain(self.cfg.graceful_timeout)
        # The thread lets go of its own. While any is open, clients get connections that nobody takes.
        for listener in self.sockets:
            listener.close()
        deadline = time.monotonic() + self.cfg.graceful_timeout
        while not server.drained() and time.monotonic() < deadline:
            self._show_life(server)
            gevent.sleep(0.05)

    def _show_life(self, server: _core.Server) -> None:
        self.notify()  # also ends the worker when its master is gone
        server.beat()

    def _environ(self) -> dict[str, Any]:
        """What the WSGI environment of every request has."""
        name, port = "localhost", ""
        address = self.sockets[0].getsockname()
        if isinstance(address, tuple):
            name, port = address[0], str(address[1])
        return {
            **base_environ(self.cfg),
            "wsgi.multithread": True,
            "wsgi.url_scheme": "http",
            "SERVER_SOFTWARE": f"polyglot-gateway/{_core.__version__}",
            "SERVER_NAME": name,
            "SERVER_PORT": port,
            "SCRIPT_NAME": "",
        }
