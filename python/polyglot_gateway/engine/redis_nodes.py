"""Which Redis has a key, and whether it answers."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import hiredis
from redis.connection import Connection, ConnectionPool
from redis.exceptions import AskError, RedisError, ResponseError

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
        self._rest = rest
        self._trouble = ""
        self._rests_until = 0.0

    def trouble(self) -> str:
        """How it has just failed, so that it is asked nothing for a while; empty when it may be asked."""
        return self._trouble if time.monotonic() < self._rests_until else ""

    def failed(self, error: Exception) -> EngineDown:
        """Take note of a failure; returns what to raise."""
        said = str(error) or type(error).__name__
        self._trouble = f"Redis does not answer: {said.rstrip('.')}."
        self._rests_until = time.monotonic() + self._rest
        return EngineDown(self._trouble)

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

    def release(self, connection: Connection, *, clean: bool) -> None:
        """Take a connection back; it is closed unless it is `clean`: all that was sent over it is answered."""
        if not clean:
            with suppress(OSError):
                if connection._sock is not None:
                    # What is on its way goes no further, instead of being done when the network is well again.
                    connection._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    connection._sock.close()
                connection.disconnect()  # type: ignore[no-untyped-call]
        self._pool.release(connection)

    def write(self, packed: bytes) -> Connection:
        """Send commands over a connection, which `read` or `release` takes back.

        Raises:
            EngineDown: Redis does not answer, or has just failed.
        """
        connection = self.connect()
        try:
            connection.send_packed_command([packed])  # type: ignore[no-untyped-call]
        except BaseException as error:
            self.release(connection, clean=False)
            if isinstance(error, RedisError):
                raise self.failed(error) from error
            raise
        return connection

    def read(self, connection: Connection, count: int) -> list[Any]:
        """Return the answers to `count` commands, among them `ResponseError`s, and release the connection.

        Raises:
            EngineDown: Redis does not answer. What it was sent may have been done or not.
        """
        answers: list[Any] = []
        try:
            while len(answers) < count:
                try:
                    answers.append(connection.read_response(disable_decoding=True))
                except ResponseError as error:
                    answers.append(error)
        except RedisError as error:
            raise self.failed(error) from error
        finally:
            self.release(connection, clean=len(answers) == count)
        return answers

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

    def close(self) -> None:
        """See `Nodes`."""
        self._node.close()


_: Callable[..., Nodes] = OneRedis


def pack(*command: bytes | str | int) -> bytes:
    """Write a command as RESP has it."""
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]  # its stub allows one argument
    return packed
