"""Which Redis has a key, and whether it answers."""

from __future__ import annotations

import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import hiredis
from redis.connection import Connection, ConnectionPool, SSLConnection
from redis.exceptions import AskError, RedisError

from polyglot_gateway.engine.redis_wire import NotServing, Wire
from polyglot_gateway.errors import EngineDown

CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 2.0
"""How long Redis may take; longer than any command of ours takes a Redis that is well."""
REST_SECONDS = 0.25
"""After a failure, nothing is asked of Redis for so long: all that comes meanwhile is refused at once."""

_RESET = struct.pack("ii", 1, 0)


class Node:
    """One Redis, with its connections and the memory of its last failure. Thread safe."""

    def __init__(self, pool: ConnectionPool, rest: float = REST_SECONDS) -> None:
        """Connect by `pool`; nothing is sent yet. After a failure, nothing is for `rest` seconds."""
        self._pool = pool
        self._idle: deque[Wire] = deque()
        self._rest = rest
        self._trouble = ""
        self._rests_until = 0.0

    def trouble(self) -> str:
        """How it has just failed, so that it is asked nothing for a while; empty when it may be asked."""
        return self._trouble if time.monotonic() < self._rests_until else ""

    def failed(self, error: Exception) -> EngineDown:
        """Take note of a failure; returns what to raise."""
        said = str(error) or type(error).__name__
        self._trouble = said if isinstance(error, NotServing) else f"Redis does not answer: {said.rstrip('.')}."
        self._rests_until = time.monotonic() + self._rest
        return EngineDown(self._trouble)

    def gave_way(self, answer: NotServing) -> None:
        """Take note that it serves nobody now. Who connects anew may find another in its place."""
        self.failed(answer)
        while self._idle:
            with suppress(IndexError):  # another thread may have been faster
                self.drop(self._idle.pop())

    def connect(self) -> Connection:
        """A connection for the caller alone, who gives it back by `release`.

        Raises:
            EngineDown: Redis does not answer, or has just failed.
        """
        trouble = self.trouble()
        if trouble:
            raise EngineDown(trouble)
        try:
            return self._pool.get_connection()
        except RedisError as error:
            raise self.failed(error) from error

    def release(self, connection: Connection) -> None:
        """Take a connection back, and close it."""
        with suppress(OSError):
            if connection._sock is not None:
                # What is on its way goes no further, instead of being done when the network is well again.
                connection._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                connection._sock.close()
            connection.disconnect()  # type: ignore[no-untyped-call]
        self._pool.release(connection)

    def write(self, packed: bytes) -> Wire:
        """Send commands over a wire, which `read` or `drop` takes back.

        Raises:
            EngineDown: Redis does not answer, or has just failed.
        """
        wire = self._wire()
        try:
            wire.send(packed)
        except BaseException as error:
            self.drop(wire)
            if isinstance(error, OSError):
                raise self.failed(error) from error
            raise
        return wire

    def read(self, wire: Wire, count: int) -> list[Any]:
        """Return the answers to `count` commands, among them `ResponseError`s, and take back the wire.

        Raises:
            EngineDown: Redis does not answer. What it was sent may have been done or not.
        """
        try:
            answers = wire.receive(count)
        except BaseException as error:
            self.drop(wire)
            if isinstance(error, OSError | RedisError | hiredis.ProtocolError):
                raise self.failed(error) from error
            raise
        self._idle.append(wire)
        return answers

    def lend(self) -> Wire | None:
        """A wire for somebody who reads and writes by its descriptor alone, until `drop`; None when TLS is on it.

        Raises:
            EngineDown: Redis does not answer, or has just failed.
        """
        wire = self._wire()
        if not isinstance(wire.connection, SSLConnection):
            return wire
        self._idle.append(wire)
        return None

    def drop(self, wire: Wire) -> None:
        """Close a wire on which answers may be on their way."""
        self.release(wire.connection)

    def _wire(self) -> Wire:
        trouble = self.trouble()
        if trouble:
            raise EngineDown(trouble)
        while self._idle:
            with suppress(IndexError):  # another thread may have been faster
                wire = self._idle.pop()
                if wire.is_quiet():
                    return wire
                self.drop(wire)
        return Wire(self.connect())

    def close(self) -> None:
        """Close all connections, also those in use."""
        self._pool.disconnect()


class Nodes(Protocol):
    """The Redises that share the keys. Thread safe."""

    def of(self, key: bytes) -> Node:
        """Who has the key.

        Raises:
            EngineDown: That is not known.
        """

    def masters(self) -> list[Node]:
        """All that have keys, as far as they are known."""

    def moved(self, error: AskError, by: Node) -> Node | None:
        """Whom a node named in its answer MOVED, which holds from now on, or ASK, which holds for one command.

        None when no such answer is followed.
        """

    def doubt(self) -> None:
        """Find out anew who has which key, before that is next asked for."""

    def close(self) -> None:
        """Close all connections."""


class OneRedis:
    """One Redis that has all keys: a server, or whom Sentinels name as the master."""

    def __init__(self, pool: ConnectionPool) -> None:
        """Connect by `pool`."""
        self._node = Node(pool)

    def of(self, key: bytes) -> Node:
        """See `Nodes`."""
        return self._node

    def masters(self) -> list[Node]:
        """See `Nodes`."""
        return [self._node]

    def moved(self, error: AskError, by: Node) -> Node | None:
        """See `Nodes`."""
        return None

    def doubt(self) -> None:
        """See `Nodes`."""

    def close(self) -> None:
        """See `Nodes`."""
        self._node.close()


_: Callable[..., Nodes] = OneRedis


def pack(*command: bytes | str | int) -> bytes:
    """Write a command as RESP has it."""
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]  # its stub allows one argument
    return packed
