"""What the native server's thread asks the processor by, without Python: connections that it is lent."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast, runtime_checkable

import structlog

from polyglot_gateway import _core
from polyglot_gateway.processor.base import Event, Verdict
from polyglot_gateway.processor.endpoint import Endpoint, Unreached

if TYPE_CHECKING:
    from polyglot_gateway.processor.remote import Way

_log = structlog.get_logger("polyglot_gateway.processor")

_CONNECTIONS = 4
"""To each instance: the workers of a service share its port, and a connection stays with one of them."""

_PAUSE = 1.0
"""Seconds after an attempt to lend them before there is another."""


class Answer(NamedTuple):
    """What came of a batch that the thread has sent, and leaves to be settled."""

    way: int
    """Which of the ways to the processor it went."""
    admission: int
    """Of that way's circuit breaker."""
    status: int
    """Of gRPC."""
    unseen: bool
    """The service has certainly not looked at the batch."""
    text: bytes
    """With the status 0 the message, else the details that the service gave."""
    seconds: float
    """Until it came."""


@runtime_checkable
class WiredEndpoint(Endpoint, Protocol):
    """One that can be asked over connections of somebody else's."""

    path: str
    authority: str
    authorization: str

    def connect(self, seconds: float) -> socket.socket:
        """A connection on which nothing was said. OSError when there is none in time."""

    def settle(self, events: Sequence[Event], answer: Answer, seconds: float) -> list[Verdict]:
        """Return or raise what `ask` would have, after this answer, which is not unseen; `seconds` was its time."""


class ProcessWire:
    """Lends connections to the server's thread, to all instances or to none, and settles what it leaves.

    While they are lent, batches go by them, and Python hears of none that ends well. One that ends otherwise ends the
    loan, and so does whatever else goes wrong on one of the ways; what was under way then is left here however it ends,
    so that the breakers count it. For one server; not thread safe.
    """

    def __init__(
        self, ways: Sequence[Way], seconds: float, process: Callable[[Sequence[Event], float], list[Verdict]]
    ) -> None:
        """Take over what is given.

        Args:
            ways: To the instances, one to each; their endpoints are `WiredEndpoint`.
            seconds: Time limit of a batch.
            process: Has a batch processed until a time of the monotonic clock, in any way.
        """
        self._ways = ways
        self._seconds = seconds
        self._process = process
        self._next_try = -math.inf

    def lend(self, server: _core.Server) -> None:
        """Connect, and lend the connections, unless they are lent, or an instance is in trouble or was just now.

        It waits for connections. That there are none is no failure of the processor's: it is asked without them.
        """
        if server.has_process_wire() or time.monotonic() < self._next_try:
            return
        admissions = self._admissions()
        if admissions is None:
            return
        self._next_try = math.inf
        try:
            with ExitStack() as stack:
                connections = []
                for number, (way, admission) in enumerate(zip(self._ways, admissions, strict=True)):
                    way.when_failed = server.revoke_process_wire
                    endpoint = way.endpoint
                    assert isinstance(endpoint, WiredEndpoint)
                    where = (endpoint.path, endpoint.authority, endpoint.authorization, number, admission)
                    for _ in range(_CONNECTIONS):
                        connection = stack.enter_context(endpoint.connect(self._seconds / 2))
                        connections.append((connection.fileno(), *where))
                if self._admissions() == admissions:
                    server.lend_process_wire(connections, self._seconds)
        except (OSError, RuntimeError) as error:
            _log.debug("the server's thread got no connections to the processor", reason=str(error))
        finally:
            self._next_try = time.monotonic() + _PAUSE

    def settle(self, events: Sequence[Event], answer: Answer) -> list[Verdict]:
        """Return or raise what `Processor.process` would have for a batch of which this came."""
        way = self._ways[answer.way]
        endpoint = way.endpoint
        assert isinstance(endpoint, WiredEndpoint)
        if answer.unseen:  # no failure: gRPC itself sends it again then, without a word
            way.breaker.left(answer.admission)
        else:
            with suppress(Unreached):
                return way.watched(answer.admission, partial(endpoint.settle, events, answer, self._seconds))
        return self._process(events, time.monotonic() + self._seconds - answer.seconds)

    def _admissions(self) -> list[int] | None:
        """Of all breakers; None when one is in trouble."""
        admissions = [way.breaker.untroubled() for way in self._ways]
        return None if None in admissions else cast("list[int]", admissions)
