"""Which Redis has a key, and whether it answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import hiredis
import redis
from redis.backoff import NoBackoff
from redis.connection import Connection, ConnectionPool
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry
from redis.sentinel import Sentinel

from polyglot_gateway.errors import EngineDown

CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 2.0
"""How long Redis may take; longer than any command of ours takes a Redis that is well."""
REST_SECONDS = 0.25
"""After a failure, nothing is asked of Redis for so long: all that comes meanwhile is refused at once."""

_FOR_SENTINELS = ("socket_connect_timeout", "socket_timeout", "retry")


class Node:
    """One Redis, with its connections and the memory of its last failure. Thread safe."""

    def __init__(self, pool: ConnectionPool) -> None:
        """Connect by `pool`; nothing is sent yet."""
        self._pool = pool
        self._trouble = ""
        self._rests_until = 0.0

    def check(self) -> None:
        """Raise EngineDown when it has just failed."""
        if time.monotonic() < self._rests_until:
            raise EngineDown(self._trouble)

    def failed(self, error: Exception) -> EngineDown:
        """Take note of a failure; returns what to raise."""
        said = str(error) or type(error).__name__
        self._trouble = f"Redis does not answer: {said.rstrip('.')}."
        self._rests_until = time.monotonic() + REST_SECONDS
        return EngineDown(self._trouble)

    def connect(self) -> Connection:
        """A connection for the caller alone, who gives it back by `release`.

        Raises:
            EngineDown: Redis does not answer, or has just failed.
        """
        self.check()
        try:
            return self._pool.get_connection()
        except RedisError as error:
            raise self.failed(error) from error

    def release(self, connection: Connection, *, clean: bool) -> None:
        """Take a connection back; it is closed unless it is `clean`: all that was sent over it is answered."""
        if not clean:
            with suppress(OSError):
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

    def close(self) -> None:
        """See `Nodes`."""
        self._node.close()


_: Callable[..., Nodes] = OneRedis


def pack(*command: bytes | str | int) -> bytes:
    """Write a command as RESP has it."""
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]  # its stub allows one argument
    return packed


def nodes_at(url: str) -> Nodes:
    """Return the nodes that `url` names; nothing is sent yet.

    Args:
        url: As RedisLink has it.

    Raises:
        ValueError: The URL is not one of Redis.
    """
    options: dict[str, Any] = {
        "protocol": 2,
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": ANSWER_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "client_name": "polyglot-gateway",
    }
    parts = urlsplit(url)
    if parts.scheme != "sentinel":
        return OneRedis(ConnectionPool.from_url(url, **options))
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    master = parts.path.strip("/")
    sentinels = []
    for host in hosts.split(","):
        name, colon, port = host.rpartition(":")
        if not (colon and name and port.isdigit() and master):
            raise ValueError("a sentinel URL is sentinel://host:port,host:port/master")
        sentinels.append((name.strip("[]"), int(port)))
    of_sentinels = {key: options[key] for key in _FOR_SENTINELS}
    asked = Sentinel(sentinels, sentinel_kwargs=of_sentinels)  # type: ignore[no-untyped-call]
    options |= {"username": unquote(user) or None, "password": unquote(password) or None}
    client: redis.Redis = asked.master_for(master, **options)  # type: ignore[no-untyped-call]
    return OneRedis(client.connection_pool)
