"""What is said of many numbers at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Summary:
    """Figures of some numbers. Without any, all but the count are NaN.

    Sums beyond what a double holds make the mean infinite, and may make percentiles so.
    """

    count: int
    min: float
    max: float
    mean: float
    p50: float
    """Half of the numbers are at most this; between two of them it is interpolated, as all percentiles are."""
    p95: float
    p99: float

    @classmethod
    def of(cls, numbers: NDArray[Any]) -> Self:
        """Return the figures of those numbers that are not NaN."""
        there = np.sort(numbers[~np.isnan(numbers)])
        if not there.size:
            return cls(0, *[float("nan")] * 6)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(there.mean())
        p50, p95, p99 = (_percentile(there, percent) for percent in (50, 95, 99))
        return cls(there.size, float(there[0]), float(there[-1]), mean, p50, p95, p99)


def _percentile(ordered: NDArray[Any], percent: int) -> float:
    """As numpy.percentile has it, which takes ten times as long for the few that are wanted here."""
    below, rest = divmod((ordered.size - 1) * percent, 100)
    low = float(ordered[below])
    return low if rest == 0 else low + (float(ordered[below + 1]) - low) * (rest / 100)
