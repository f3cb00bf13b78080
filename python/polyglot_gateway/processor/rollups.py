"""What goes through the processor, summed up for each channel and over all workers."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from polyglot_gateway.processor.base import Event, Verdict
from polyglot_gateway.processor.shared_record import SharedRecord

MOST_CHANNELS = 1000
"""So many are summed up by themselves; what else there is, together."""

IDLE_SECONDS = 60
"""A channel without an event for so long gives its place to another one."""

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
        # The last of the channels is all those that have no place of their own.
        fields = [("version", "i8"), ("forgotten", "i8"), ("channels", _CHANNEL, most_channels + 1)]
        self._record = SharedRecord(np.dtype(fields))
        self._most_channels = most_channels
        self._now = now
        self._places: dict[bytes, int] = {}
        self._version = 0
        self._full_in = -1

    def add(self, events: Sequence[Event], verdicts: Sequence[Verdict]) -> None:
        """Add a batch."""
        of_channel: defaultdict[bytes, list[tuple[int, str]]] = defaultdict(list)
        for event, verdict in zip(events, verdicts, strict=True):
            name = f"{event.app}/{event.channel}".encode()
            of_channel[name].append((len(event.data), _COUNTED[verdict.kind]))
        second = int(self._now())
        with self._record.locked() as record:
            for name, found in of_channel.items():
                _add(self._row(record, name, second), found, second)

    def report(self) -> dict[str, Any]:
        """What /stats says, as JSON has it; the busiest channels first."""
        record, second = self._record.copy(), int(self._now())
        *rows, others = record["channels"]
        rows = [row for row in rows if row["name"]]
        rows.sort(key=lambda row: int(row["events"]), reverse=True)
        return {
            "channels": [_names(row) | _figures(row, second) for row in rows],
            "other_channels": _figures(others, second),
            "most_channels": self._most_channels,
            "forgotten_channels": int(record["forgotten"]),
        }

    def _row(self, record: Any, name: bytes, second: int) -> Any:
        channels = record["channels"]
        if record["version"] != self._version:  # another worker has given places away
            names = channels["name"][: self._most_channels].tolist()
            self._places = {name: place for place, name in enumerate(names) if name}
            self._version = int(record["version"])
        place = self._places.get(name)
        if place is None:
            place = self._new_place(record, name, second)
        return channels[place]

    def _new_place(self, record: Any, name: bytes, second: int) -> int:
        channels = record["channels"]
        place = len(self._places)  # places are taken from the first on, and are never free again
        if place == self._most_channels:
            if self._full_in == second:
                return place
            place = int(np.argmin(channels["last"][: self._most_channels]))
            if channels["last"][place] > second - IDLE_SECONDS:
                self._full_in = second
                return self._most_channels
            record["forgotten"] += 1
            del self._places[bytes(channels["name"][place])]
        # In this order, whoever is killed in between leaves no place without a name, and none that others do not see.
        self._version += 1
        record["version"] = self._version
        channels["name"][place] = name
        for field in _CHANNEL.names or ():
            if field != "name":
                channels[field][place] = 0
        self._places[name] = place
        return place


def _add(row: Any, found: list[tuple[int, str]], second: int) -> None:
    sizes = np.array([size for size, _ in found], "u4")
    before = int(row["events"])
    places = (before + np.arange(len(sizes))[-SAMPLE:]) % SAMPLE
    row["sizes"][places] = sizes[-SAMPLE:]
    row["events"] += len(sizes)
    row["bytes"] += int(sizes.sum(dtype="i8"))
    for counted, count in Counter(counted for _, counted in found).items():
        row[counted] += count
    place = second % _SECONDS
    if row["seconds"][place] != second:
        row["seconds"][place] = second
        row["counts"][place] = 0
    row["counts"][place] += len(sizes)
    row["last"] = second


def _names(row: Any) -> dict[str, Any]:
    app, _, channel = row["name"].decode().partition("/")
    return {"app_id": app, "channel": channel}


def _figures(row: Any, second: int) -> dict[str, Any]:
    ages = second - row["seconds"]
    # Whole seconds: the one that is not over would make every rate too low.
    rates = {f"{span}s": float(row["counts"][(ages >= 1) & (ages <= span)].sum()) / span for span in (1, 60)}
    sizes = row["sizes"][: min(int(row["events"]), SAMPLE)]
    percentiles = np.percentile(sizes, _PERCENTILES) if len(sizes) else np.zeros(len(_PERCENTILES))
    return {
        "events": int(row["events"]),
        **{name: int(row[name]) for name in _COUNTED.values()},
        "bytes": int(row["bytes"]),
        "per_second": rates,
        "data_bytes": {f"p{which}": round(float(size)) for which, size in zip(_PERCENTILES, percentiles, strict=True)},
    }
