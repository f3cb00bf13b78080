"""One connection to Redis over which commands are exchanged for answers."""

from __future__ import annotations

import select
import socket
from typing import Any

import hiredis
from gevent.monkey import get_original
from redis._parsers import BaseParser
from redis.connection import Connection
from redis.exceptions import ConnectionError, ResponseError

_CHUNK = 1 << 16
_NOTHING = object()

REPLICA = "Redis is a replica, which takes nothing."
_WHY_NOT_SERVING = {
    "LOADING": "Redis is loading its data.",
    "READONLY": REPLICA,
    "MASTERDOWN": "Redis is a replica that has lost its master.",
}
"""By the code of an answer; redis.io, "Redis serialization protocol", has the form."""


class NotServing(ResponseError):
    """What a Redis answers that did nothing, because it cannot serve yet, or is not the master any more."""


class Wire:
    """Sends commands as they are packed, and gives the answers. For one thread at a time.

    It writes and reads by itself what redis-py has connected: that costs a fifth of what redis-py does around it, and
    a publish that travels alone bears all of it.

    Attributes:
        connection: Of redis-py, with its time limits.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._socket = socket_of(connection)
        self._reader = _reader()
        # gevent's would give others their turn, and this never waits.
        self._look = get_original("select", "poll")()
        self._look.register(self._socket.fileno(), select.POLLIN)

    def fileno(self) -> int:
        """Of the socket."""
        return self._socket.fileno()

    def is_quiet(self) -> bool:
        """Whether it can be used: one whose end has come, or that says what nobody asked, can't."""
        return not self._look.poll(0)

    def send(self, packed: bytes) -> None:
        """Send commands. OSError when the connection is lost, or takes them too slowly."""
        self._socket.sendall(packed)

    def receive(self, count: int) -> list[Any]:
        """Wait for so many answers, among them `ResponseError`s.

        Raises:
            OSError, ConnectionError: They did not all come.
        """
        answers: list[Any] = []
        while len(answers) < count:
            answer = self._reader.gets(False)
            if answer is not _NOTHING:
                answers.append(answer)
            elif data := self._socket.recv(_CHUNK):
                self._reader.feed(data)
            else:
                raise ConnectionError("Redis closed the connection")
        return answers


def answers_in(received: bytes) -> list[Any]:
    """The answers, among them `ResponseError`s, that somebody else has received."""
    reader = _reader()
    reader.feed(received)
    answers: list[Any] = []
    while (answer := reader.gets(False)) is not _NOTHING:
        answers.append(answer)
    return answers


def _reader() -> hiredis.Reader:
    return hiredis.Reader(replyError=_error, notEnoughData=_NOTHING)


def _error(said: str) -> ResponseError:
    """What redis-py makes of an error; some of its kinds are those of lost connections, which this one is not."""
    why = _WHY_NOT_SERVING.get(said.partition(" ")[0])
    if why is not None:
        return NotServing(why)
    error = BaseParser.parse_error(said)  # type: ignore[no-untyped-call]
    return error if isinstance(error, ResponseError) else ResponseError(said)


def socket_of(connection: Connection) -> socket.socket:
    """What redis-py keeps to itself."""
    found: socket.socket = connection._sock  # type: ignore[assignment]
    return found
