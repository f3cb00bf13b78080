"""The processor in other processes: several instances of it, over HTTP or gRPC, each behind a circuit breaker."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from polyglot_gateway.errors import ProcessorUnavailable
from polyglot_gateway.processor.base import Event, Verdict
from polyglot_gateway.processor.breaker import Breaker
from polyglot_gateway.processor.endpoint import Busy, Endpoint, Unreached, batches
from polyglot_gateway.processor.wire import ProcessWire, WiredEndpoint


class Way:
    """How an instance can be asked.

    Attributes:
        endpoint: Who is asked.
        breaker: Whether it is.
        when_failed: Called after each failure that the breaker counts.
    """

    when_failed: Callable[[], None] | None = None

    def __init__(self, endpoint: Endpoint, breaker: Breaker, pool_size: int) -> None:
        """Take over what is given.

        Args:
            endpoint: Who is asked.
            breaker: Whether it is.
            pool_size: So many batches are on their way at once; more wait for one of them to end.
        """
        self.endpoint = endpoint
        self.breaker = breaker
        self._free = threading.BoundedSemaphore(pool_size)

    def ask(self, events: Sequence[Event], seconds: float) -> list[Verdict]:
        """As `Endpoint.ask`; Unreached also while the breaker is open."""
        if self.breaker.state == "open":
            raise self._refused()
        deadline = time.monotonic() + seconds
        # To wait with a time limit costs more, also when nobody has to wait.
        if not self._free.acquire(blocking=False) and not self._free.acquire(timeout=seconds / 2):
            raise self._busy()
        try:
            left = deadline - time.monotonic()
            if left <= 0:  # others have held up this process
                raise self._busy()
            admission = self.breaker.admit()
            if admission is None:
                raise self._refused()
            return self.watched(admission, partial(self.endpoint.ask, events, left))
        finally:
            self._free.release()

    def watched(self, admission: int, ask: Callable[[], list[Verdict]]) -> list[Verdict]:
        """Return or raise what `ask` does, and have the breaker that gave the admission count it."""
        try:
            verdicts = ask()
        except Busy:
            self.breaker.left(admission)
            raise
        except ProcessorUnavailable as error:
            self.breaker.failed(admission, error.message)
            if self.when_failed is not None:
                self.when_failed()
            raise
        except BaseException:
            self.breaker.left(admission)
            raise
        self.breaker.succeeded(admission)
        return verdicts

    def _busy(self) -> Busy:
        return Busy(f"All connections to the processor at {self.endpoint.name} are busy.")

    def _refused(self) -> Unreached:
        return Unreached(f"The processor at {self.endpoint.name} {self.breaker.refusal()}")


class Instance:
    """One process of the processor tier, with the ways to it; the first is taken as long as it can be."""

    def __init__(self, *ways: Way) -> None:
        self.ways = ways
        self.outstanding = 0


class RemoteProcessor:
    """Asks the instance that has the fewest batches to answer. Fulfils `Processor`.

    A batch that has certainly not reached an instance by one way goes to it by the next, and then to the next instance.
    One that may have been processed goes nowhere else.

    Attributes:
        wire: As `Processor` has it: over gRPC, unless each batch is observed.
    """

    def __init__(self, kind: str, instances: Sequence[Instance], seconds: float) -> None:
        """Take over what is given; `open_processor` makes it.

        Args:
            kind: How the setting calls it.
            instances: All of them do the same.
            seconds: Time limit of `process`.
        """
        self._kind = kind
        self._instances = instances
        self._seconds = seconds
        self._lock = threading.Lock()  # for Instance.outstanding
        self.wire: ProcessWire | None = None
        first = [instance.ways[0] for instance in instances]
        if all(isinstance(way.endpoint, WiredEndpoint) for way in first):
            self.wire = ProcessWire(first, seconds, self._process)

    def process(self, events: Sequence[Event]) -> list[Verdict]:
        """As `Processor` has it. What is more than one batch is sent as several, one after the other."""
        return self._process(events, time.monotonic() + self._seconds)

    def ready(self) -> list[str]:
        """Why it cannot process now: every breaker is open.

        One whose time to try again has come counts as ready, or no batch would ever be sent to try it.
        """
        ways = self._ways()
        if any(way.breaker.state != "open" for way in ways):
            return []
        return [f"The processor at {way.endpoint.name} {way.breaker.refusal()}" for way in ways]

    def breaker(self) -> dict[str, Any]:
        """As `Processor` has it; `state` is the best of all endpoints'. Each process has breakers of its own."""
        endpoints = [
            {"endpoint": way.endpoint.name, "protocol": way.endpoint.protocol, **way.breaker.snapshot()}
            for way in self._ways()
        ]
        states = {endpoint["state"] for endpoint in endpoints}
        return {
            "enabled": any(way.breaker.enabled for way in self._ways()),
            "processor": self._kind,
            "state": next(state for state in ("closed", "half_open", "open") if state in states),
            "endpoints": endpoints,
        }

    def close(self) -> None:
        """Let go of all connections. Idempotent."""
        for way in self._ways():
            way.endpoint.close()

    def _process(self, events: Sequence[Event], deadline: float) -> list[Verdict]:
        return [verdict for batch in batches(events) for verdict in self._ask(batch, deadline)]

    def _ways(self) -> list[Way]:
        return [way for instance in self._instances for way in instance.ways]

    def _ask(self, events: Sequence[Event], deadline: float) -> list[Verdict]:
        refusals: list[str] = []
        for instance in self._by_load():
            with self._counted(instance):
                for way in instance.ways:
                    left = deadline - time.monotonic()
                    if left <= 0:
                        raise ProcessorUnavailable(
                            " ".join([f"The processor did not answer within {self._seconds:g} s.", *refusals])
                        )
                    try:
                        return way.ask(events, left)
                    except Unreached as error:
                        refusals.append(error.message)
        raise ProcessorUnavailable(" ".join(refusals))

    def _by_load(self) -> list[Instance]:
        # By chance among equals, or the first would get all that comes one at a time.
        return sorted(self._instances, key=lambda instance: (instance.outstanding, random.random()))

    @contextlib.contextmanager
    def _counted(self, instance: Instance) -> Iterator[None]:
        with self._lock:
            instance.outstanding += 1
        try:
            yield
        finally:
            with self._lock:
                instance.outstanding -= 1
