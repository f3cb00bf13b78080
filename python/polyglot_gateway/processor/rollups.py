"""What goes through the processor, summed up for each channel and over all workers."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from polyglot_gateway.processor.base import Event, Verdict
from polyglot_gateway.processor.shared_record import SharedRecord

MOST_CHANNELS = 1000
"""So many are summed up; another one takes the place of that which had no event for the longest time."""

SAMPLE = 512
"""The sizes of so many of a channel's newest events give the percentiles."""

_SECONDS = 64
_PERCENTILES = (50, 95, 99)
_COUNTED = {"accept": "accepted", "replace": "replaced", "reject": "rejected"}

_CHANNEL = np.dtype(
    [
        ("name", "S265"),  # app and channel at their longest, with a slash between
        ("last", "i8"),
        ("events", "i8"),
        ("bytes", "i8"),
        *((name, "i8") for name in _COUNTED.values()),
        ("seconds", "i8", _SECONDS),  # which second the count of the same place is of
        ("counts", "i8", _SECONDS),
        ("sizes", "u4", SAMPLE),
    ]
)


class Rollups:
    """Counts, rates and sizes of a bounded number of channels.

    Make it before the workers are forked; then any of them adds, and any tells of all. Thread safe.
    """

    def __init__(self, most_channels: int = MOST_CHANNELS, now: Callable[[], float] = time.monotonic) -> None:
        """`now`: seconds on a clock that all workers share."""
        self._record = SharedRecord(np.dtype([("forgotten", "i8"), ("channels", _CHANNEL, most_channels)]))
        self._most_channels = most_channels
        self._now = now
        self._places: dict[bytes, int] = {}

    def add(self, events: Sequence[Event], verdicts: Sequence[Verdict]) -> None:
        """Add a batch."""
        of_channel: defaultdict[bytes, list[tuple[int, str]]] = defaultdict(list)
        for event, verdict in zip(events, verdicts, strict=True):
            name = f"{event.app}/{event.channel}".encode()
            of_channel[name].append((len(event.data), _COUNTED[verdict.kind]))
        second = int(self._now())
        with self._record.locked() as record:
            for name, found in of_channel.items():
                _add(self._row(record, name), found, second)

    def report(self) -> dict[str, Any]:
        """What /stats says, as JSON has it; the busiest channels first."""
        record, second = self._record.copy(), int(self._now())
        rows = [row for row in record["channels"] if row["name"]]
        rows.sort(key=lambda row: int(row["events"]), reverse=True)
        return {
            "channels": [_report(row, second) for row in rows],
            "most_channels": self._most_channels,
            "forgotten_channels": int(record["forgotten"]),
        }

    def _row(self, record: Any, name: bytes) -> Any:
        channels = record["channels"]
        place = self._places.get(name)
        # Another worker may have given the place to another channel.
        if place is None or channels[place]["name"] != name:
            place = self._find(record, name)
            if len(self._places) >= self._most_channels:
                self._places.clear()
            self._places[name] = place
        return channels[place]

    def _find(self, record: Any, name: bytes) -> int:
        channels = record["channels"]
        for wanted in (name, b""):
            if len(found := np.flatnonzero(channels["name"] == wanted)):
                place = int(found[0])
                break
        else:
            place = int(np.argmin(channels["last"]))
            channels[place] = np.zeros((), _CHANNEL)
            record["forgotten"] += 1
        channels[place]["name"] = name
        return place


def _add(row: Any, found: list[tuple[int, str]], second: int) -> None:
    sizes = np.array([size for size, _ in found], "u4")
    before = int(row["events"])
    places = (before + np.arange(len(sizes))[-SAMPLE:]) % SAMPLE
    row["sizes"][places] = sizes[-SAMPLE:]
    row["events"] += len(sizes)
    row["bytes"] += int(sizes.sum(dtype="i8"))
    for _, counted in found:
        row[counted] += 1
    place = second % _SECONDS
    if row["seconds"][place] != second:
        row["seconds"][place] = second
        row["counts"][place] = 0
    row["counts"][place] += len(sizes)
    row["last"] = second


def _report(row: Any, second: int) -> dict[str, Any]:
    app, _, channel = row["name"].decode().partition("/")
    ages = second - row["seconds"]
    # Whole seconds: the one that is not over would make every rate too low.
    rates = {f"{span}s": float(row["counts"][(ages >= 1) & (ages <= span)].sum()) / span for span in (1, 60)}
    sizes = row["sizes"][: min(int(row["events"]), SAMPLE)]
    percentiles = np.percentile(sizes, _PERCENTILES) if len(sizes) else np.zeros(len(_PERCENTILES))
    return {
        "app_id": app,
        "channel": channel,
        "events": int(row["events"]),
        **{name: int(row[name]) for name in _COUNTED.values()},
        "bytes": int(row["bytes"]),
        "per_second": rates,
        "data_bytes": {f"p{which}": round(float(size)) for which, size in zip(_PERCENTILES, percentiles, strict=True)},
    }
