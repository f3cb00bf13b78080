"""A processor whose calls are timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from polyglot_gateway.processor.base import Event, Processor, Verdict


class TimedProcessor:
    """Fulfils `Processor` by another one, and tells how long each call took, however it ended.

    What it has besides `process` is the other one's.
    """

    def __init__(self, processor: Processor, count_time: Callable[[float], None]) -> None:
        """Ask `processor`; `count_time` is told the seconds of each call."""
        self._processor = processor
        self._count_time = count_time
        self.wire = processor.wire
        self.ready = processor.ready
        self.breaker = processor.breaker
        self.close = processor.close

    def process(self, events: Sequence[Event]) -> list[Verdict]:
        """See `Processor`."""
        began = time.monotonic()
        try:
            return self._processor.process(events)
        finally:
            self._count_time(time.monotonic() - began)


_: type[Processor] = TimedProcessor
