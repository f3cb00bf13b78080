"""One connection to Redis over which shard channels are heard."""

from __future__ import annotations

import select
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import hiredis
from redis.connection import SSLConnection
from redis.exceptions import ConnectionError

from polyglot_gateway import _core
from polyglot_gateway.engine.redis_nodes import ANSWER_SECONDS, Node, pack
from polyglot_gateway.engine.redis_wire import socket_of

Listen = Callable[[int], _core.News]
"""`Server.listen`."""

_CHUNK = 1 << 16
_NOTHING = object()


class Subscriber:
    """Asks Redis, and reads what it answers and tells, without waiting. For one thread at a time.

    It reads by itself what redis-py has connected, because that costs a tenth for each message. Where there is a native
    server, and no TLS, the server's thread reads, and leaves here what it has not taken over into the history.

    Attributes:
        node: Whom it is connected to.
        awaited: What was asked and is not answered yet, oldest first: verb and name of each. Whoever reads an answer
            takes it out.
    """

    def __init__(self, node: Node, listen: Listen | None = None) -> None:
        """Connect, and let `listen` read, where it can.

        Raises:
            EngineDown: Redis does not answer, or has just failed.
            RuntimeError: There are no descriptors left to read by.
        """
        self.node = node
        self.awaited: deque[tuple[bytes, bytes]] = deque()
        self._connection = node.connect()
        self._socket = socket_of(self._connection)
        self._socket.settimeout(0)
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        plain = not isinstance(self._connection, SSLConnection)
        try:
            self._news = listen(self._socket.fileno()) if listen is not None and plain else None
        except BaseException:
            node.release(self._connection)
            raise
        self._fd = (self._news or self._socket).fileno()

    def fileno(self) -> int:
        """Becomes readable when there is something to read."""
        return self._fd

    def ask(self, verb: bytes, names: Sequence[bytes]) -> None:
        """Send one command for each of the names, which need not share a slot.

        Raises:
            ConnectionError: The connection is lost.
        """
        packed = b"".join([pack(verb, name) for name in names])
        self.awaited.extend((verb, name) for name in names)
        try:
            self._socket.settimeout(ANSWER_SECONDS)
            self._socket.sendall(packed)
            self._socket.settimeout(0)
        except OSError as error:
            raise _lost(error) from error

    def read(self) -> list[Any] | None:
        """Some of what has come: answers, `hiredis.ReplyError`s and messages; None when there is no more.

        Raises:
            ConnectionError: The connection is lost.
        """
        data = self._come()
        if data is None:
            return None
        self._reader.feed(data)
        replies = []
        while (reply := self._reader.gets(False)) is not _NOTHING:
            replies.append(reply)
        return replies

    def wait(self, seconds: float) -> bool:
        """Whether there is something to read, at once or within so many seconds."""
        ready = select.poll()
        ready.register(self._fd, select.POLLIN)
        return bool(ready.poll(max(0, seconds * 1000)))

    def _come(self) -> bytes | None:
        if self._news is not None:
            data, ended = self._news.take()
            if not data and not ended:
                return None
        else:
            try:
                data = self._socket.recv(_CHUNK)
            except (BlockingIOError, ssl.SSLWantReadError):
                return None
            except OSError as error:
                raise _lost(error) from error
        if not data:
            raise ConnectionError("Redis closed the connection")
        return data

    def close(self) -> None:
        """Let go of the connection; once."""
        if self._news is not None:
            self._news.end()
        self.node.release(self._connection)


def _lost(error: OSError) -> ConnectionError:
    return ConnectionError(str(error) or type(error).__name__)
