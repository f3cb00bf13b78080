"""The figures of one channel."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from polyglot_gateway.analytics.summary import Summary
from polyglot_gateway.engine.base import Columns

SECOND = 1_000_000
MOST_BUCKETS = 100_000


class Buckets(NamedTuple):
    """How many events came in each of some stretches of time, which follow each other without a hole."""

    seconds: int
    """How long each is; the first and the last may be known in part only."""
    first: int
    """When the first begins, in µs since 1970: a multiple of `seconds`."""
    counts: NDArray[np.int64]


class Analytics:
    """Figures of the events that the columns hold, all of them computed from whole arrays.

    They are about the time from `begin` to `end`, in which no event is missing; of what came before nothing is known,
    so no figure counts it as silence.

    Attributes:
        columns: What all figures are of.
        count: Events.
        begin: In µs since 1970; None when there is no event and nothing is known of a time without any.
        end: When the channel was read, in µs since 1970.
    """

    def __init__(self, columns: Columns) -> None:
        """Take what `Engine.columns` gave."""
        times = columns.times
        self.columns = columns
        self.count = len(times)
        self.begin: int | None = columns.begin or (int(times[0]) if self.count else None)
        self.end = columns.read_at

    def rate(self, seconds: float | None = None) -> float:
        """Return the events per second in the last `seconds`, or in all the time from `begin` on.

        Where less than `seconds` is known it is the rate of that. An event at the very beginning, which may have been
        chosen as such for the event, does not count. NaN when no time is known.
        """
        begin = self.begin
        if seconds is not None:
            asked = self.end - int(seconds * SECOND)
            # In an epoch that is here from its first event on, nothing came before that one.
            begin = asked if self.columns.begin == 0 else max(asked, self.columns.begin)
        if begin is None or begin >= self.end:
            return float("nan")
        count = self.count - int(np.searchsorted(self.columns.times, begin, side="right"))
        return count * SECOND / (self.end - begin)

    @cached_property
    def intervals(self) -> Summary:
        """Of the seconds from each event to the next."""
        return Summary.of(np.diff(self.columns.times) / SECOND)

    @cached_property
    def sizes(self) -> Summary:
        """Of the bytes of the envelopes."""
        return Summary.of(self.columns.sizes)

    @cached_property
    def fields(self) -> dict[str, Summary]:
        """Of the numbers that the events have in each field that was asked for."""
        return {field: Summary.of(numbers) for field, numbers in self.columns.fields.items()}

    def buckets(self, seconds: int, most: int = MOST_BUCKETS) -> Buckets:
        """Count the events by time, in steps of so many seconds since 1970, the newest `most` steps at most.

        Raises:
            ValueError: One of them is less than 1.
        """
        if seconds < 1 or most < 1:
            raise ValueError("a bucket lasts a second at least, and there is at least one")
        step = seconds * SECOND
        last = self.end // step
        first = last if self.begin is None else max(self.begin // step, last - most + 1)
        places = self.columns.times // step - first
        counts = np.bincount(places[places >= 0], minlength=last - first + 1)
        return Buckets(seconds, first * step, counts)
