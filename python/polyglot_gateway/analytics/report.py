"""The figures of a channel as JSON values."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from polyglot_gateway.analytics.analytics import Analytics
from polyglot_gateway.analytics.summary import Summary
from polyglot_gateway.engine.base import Columns

RATES = (1, 10, 60)
"""Seconds."""
MOST_BUCKETS = 1000

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def report(columns: Columns, bucket: int | None = None) -> dict[str, Any]:
    """Return all figures; what is no finite number is None.

    Args:
        columns: What they are of.
        bucket: Count the events in steps of so many seconds, the newest 1000 steps at most.
    """
    seen = Analytics(columns)
    rates = {str(seconds): _finite(seen.rate(seconds)) for seconds in RATES}
    return {
        "channel": columns.channel,
        "epoch": columns.epoch,
        "count": seen.count,
        "first_offset": int(columns.offsets[0]) if seen.count else None,
        "last_offset": int(columns.offsets[-1]) if seen.count else None,
        "begin": _time(seen.begin),
        "end": _time(seen.end),
        "rates": {**rates, "all": _finite(seen.rate())},
        "intervals": _summary(seen.intervals),
        "sizes": _summary(seen.sizes),
        "fields": {field: _summary(summary) for field, summary in seen.fields.items()},
        "buckets": None if bucket is None else _buckets(seen, bucket),
    }


def _buckets(seen: Analytics, seconds: int) -> dict[str, Any]:
    buckets = seen.buckets(seconds, MOST_BUCKETS)
    return {"seconds": seconds, "first": _time(buckets.first), "counts": buckets.counts.tolist()}


def _summary(summary: Summary) -> dict[str, float | None]:
    return {name: _finite(figure) for name, figure in asdict(summary).items()}


def _finite(figure: float) -> float | None:
    return figure if math.isfinite(figure) else None


def _time(time: int | None) -> str | None:
    """Of µs since 1970, as RFC 3339 in UTC."""
    if time is None:
        return None
    return (_BEGINNING + timedelta(microseconds=time)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
