"""A circuit breaker: stops asking an endpoint that keeps failing, and tries it again after a while."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

State = Literal["closed", "open", "half_open"]

_KEPT_TRANSITIONS = 20


class Breaker:
    """Decides whether one endpoint is asked. Thread safe, in a process that gevent has patched as well; never waits.

    `closed` asks; after `failures` of them in a row, `open` does not, for `seconds`; then `half_open` lets one batch
    through, whose end closes it or opens it again. It does not hold its lock while a batch is on its way, so batches
    pass side by side. What a batch comes to that was let through before the last transition says nothing any more, and
    is not counted.

    Attributes:
        enabled: False when it counts, but never opens.
    """

    def __init__(
        self, failures: int, seconds: float, *, enabled: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.enabled = enabled
        self._most_failures = failures
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._state: State = "closed"
        self._life = 0  # transitions so far
        self._failures = 0
        self._last_error: str | None = None
        self._opened_at: str | None = None
        self._next_try = 0.0
        self._trying = False
        self._transitions: deque[dict[str, str]] = deque(maxlen=_KEPT_TRANSITIONS)

    def admit(self) -> int | None:
        """Let a batch through, or not (None).

        Whoever gets a number brings it back, once, to `succeeded`, `failed` or `left`.
        """
        with self._lock:
            self._look_at_the_clock()
            if self._state == "open" or self._trying:
                return None
            self._trying = self._state == "half_open"
            return self._life

    def untroubled(self) -> int | None:
        """What `admit` gives to each batch as long as all goes well; None when something has gone wrong last.

        Whoever asks for many by it need not bring it back for those that were answered.
        """
        with self._lock:
            return self._life if self._state == "closed" and self._failures == 0 else None

    def succeeded(self, admission: int) -> None:
        """The batch was answered."""
        with self._lock:
            if admission == self._life:
                self._failures = 0
                if self._state == "half_open":
                    self._become("closed")

    def failed(self, admission: int, error: str) -> None:
        """The batch was not answered, and why."""
        with self._lock:
            if admission == self._life:
                self._failures += 1
                self._last_error = error
                if self.enabled and (self._state == "half_open" or self._failures >= self._most_failures):
                    self._become("open")

    def left(self, admission: int) -> None:
        """Whoever sent the batch went away before its end; nothing is known."""
        with self._lock:
            if admission == self._life:
                self._trying = False

    @property
    def state(self) -> State:
        """As it is now."""
        with self._lock:
            self._look_at_the_clock()
            return self._state

    def refusal(self) -> str:
        """Why a batch is not let through, as the rest of a sentence."""
        with self._lock:
            waits = max(self._next_try - self._clock(), 0.0)
            when = f"for {waits:.1f} s more" if self._state == "open" else "until the batch that tries it has an answer"
            return f"is not asked {when}, after {self._failures} failures in a row; the last: {self._last_error}"

    def snapshot(self) -> dict[str, Any]:
        """What there is to know, as JSON has it; times are RFC 3339 in UTC, `next_try_in` is in seconds."""
        with self._lock:
            self._look_at_the_clock()
            is_open = self._state == "open"
            return {
                "state": self._state,
                "failures": self._failures,
                "opened_at": None if self._state == "closed" else self._opened_at,
                "next_try_in": round(self._next_try - self._clock(), 3) if is_open else None,
                "last_error": self._last_error,
                "transitions": list(self._transitions),
            }

    def _look_at_the_clock(self) -> None:
        if self._state == "open" and self._clock() >= self._next_try:
            self._become("half_open")

    def _become(self, state: State) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._transitions.append({"from": self._state, "to": state, "at": at})
        self._state = state
        self._life += 1
        self._trying = False
        if state == "open":
            self._opened_at = at
            self._next_try = self._clock() + self._seconds
