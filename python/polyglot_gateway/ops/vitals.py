"""How a worker is, said once a second in the segment, so that whichever worker is asked can answer for all."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from polyglot_gateway.errors import GatewayError

SECONDS = 1.0
"""How often it is said."""


class Vitals:
    """Puts into this worker's gauges what only Python knows."""

    def __init__(
        self,
        set_gauge: Callable[[str, int], None],
        *,
        engine: Callable[[], list[str]],
        processor: Callable[[], list[str]],
        breaker: Callable[[], dict[str, Any]],
        streams: Callable[[], int | None],
    ) -> None:
        """Say it by `set_gauge`, as the core has it.

        Args:
            set_gauge: Takes the name and the value.
            engine: Why what keeps the events cannot be reached, one sentence each.
            processor: Why no processor would take an event, one sentence each.
            breaker: As `Processor.breaker`.
            streams: Event streams that Python serves; None where C++ counts all readers.
        """
        self._set = set_gauge
        self._engine = engine
        self._processor = processor
        self._breaker = breaker
        self._streams = streams
        self._started = int(time.time())

    def tell(self) -> None:
        """Say how it is now. Says nothing once the engine is closed."""
        with contextlib.suppress(GatewayError):
            self._set("started", self._started)
            self._set("engine_down", int(bool(self._engine())))
            self._set("processor_down", int(bool(self._processor())))
            states = Counter(endpoint["state"] for endpoint in self._breaker().get("endpoints", []))
            for state in ("closed", "open", "half_open"):
                self._set(f"breakers_{state}", states[state])
            if (streams := self._streams()) is not None:
                self._set("sse", streams)
                self._set("subscriptions", streams)
