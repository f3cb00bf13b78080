"""gunicorn's gevent worker, but at its end it answers those whose connection waits to be taken."""

from __future__ import annotations

import contextlib
import socket
from functools import partial
from typing import Any, cast

from gevent.pool import Pool
from gevent.server import StreamServer
from gunicorn.workers.ggevent import GeventWorker


class LastTakingServer(StreamServer):
    """Closes its socket only when nobody waits there: the kernel would cut them off."""

    def close(self) -> None:
        """Take those that wait, and listen no more."""
        with contextlib.suppress(OSError, AttributeError):  # it may be closed already
            while taken := self.do_read():
                self.do_handle(*taken)
        super().close()


class _Named:
    """What gunicorn asks of a listening socket when it serves a connection; the socket may be closed by then."""

    def __init__(self, listener: socket.socket) -> None:
        self._name = listener.getsockname()

    def getsockname(self) -> Any:
        return self._name


class WsgiWorker(GeventWorker):
    """One process: gevent's loop, and the application in it."""

    def server_class(  # type: ignore[override]
        self, listener: socket.socket, *, spawn: Pool, **tls: Any
    ) -> LastTakingServer:
        """Return what serves one listening socket; gunicorn's `run` calls this."""
        for name in ("application", "log", "handler_class", "environ"):  # for servers that speak HTTP themselves
            tls.pop(name)
        handle = partial(self.handle, cast("socket.socket", _Named(listener)))
        server = LastTakingServer(listener, handle=handle, spawn=spawn, **tls)
        if self.cfg.workers > 1:
            server.max_accept = 1  # as gunicorn's own: other workers are to have some too
        return server
