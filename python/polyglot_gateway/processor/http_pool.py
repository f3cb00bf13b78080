"""urllib3's pool of connections, with the time limits that it lacks: for a whole answer, and for lying idle."""

from __future__ import annotations

import functools
import http.client
import io
import socket
import time
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import HTTPResponse

IDLE_SECONDS = 4
"""A connection that lay idle for longer is not used again: the service may be closing it while a batch is on its way.
Most services wait longer than this."""


class _Reader(io.RawIOBase):
    """Reads from a socket until a moment, however the bytes trickle in: a socket's own limit begins anew with each."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, deadline: float) -> None:
        self._socket = sock
        self._raw = raw
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, deadline: float, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp = io.BufferedReader(_Reader(sock, self.fp.detach(), deadline))


class _WholeAnswer(HTTPConnection):
    """Takes urllib3's limit for one read as that for the whole answer, its head included."""

    answered_at = 0.0

    @property
    def is_connected(self) -> bool:
        """Whether another request may be sent; asked when it is taken out of the pool."""
        return time.monotonic() - self.answered_at < IDLE_SECONDS and super().is_connected

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        assert isinstance(self.timeout, float)
        self.response_class = functools.partial(_Answer, deadline=time.monotonic() + self.timeout)  # type: ignore[assignment]
        response = super().getresponse()
        self.answered_at = time.monotonic()
        return response


class _TlsWholeAnswer(_WholeAnswer, HTTPSConnection):
    pass


class Pool(HTTPConnectionPool):
    """Connections to one host. A limit for reading is one for the whole answer."""

    ConnectionCls = _WholeAnswer


class TlsPool(HTTPSConnectionPool):
    """The same over TLS, to a host that a certificate vouches for."""

    ConnectionCls = _TlsWholeAnswer
