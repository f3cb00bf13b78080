from collections.abc import Callable, Sequence

import numpy as np
import pytest

from polyglot_gateway.engine.base import Columns

SECOND = 1_000_000
START = 1_700_000_000 * SECOND


@pytest.fixture
def columns() -> Callable[..., Columns]:
    """Makes the columns of events that came so many seconds after the start."""

    def make(seconds: Sequence[float], *, read: float, begin: float | None = None, **fields: list[float]) -> Columns:
        times = np.array([START + round(second * SECOND) for second in seconds], dtype=np.int64)
        return Columns(
            "demo",
            "room",
            "0123456789abcdef",
            0 if begin is None else START + round(begin * SECOND),
            START + round(read * SECOND),
            np.arange(1, len(times) + 1),
            times,
            np.full(len(times), 200),
            {f"/{name}": np.array(numbers, dtype=float) for name, numbers in fields.items()},
        )

    return make
