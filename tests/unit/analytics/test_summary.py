import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyglot_gateway.analytics import Summary

numbers = st.lists(st.floats(-1e9, 1e9) | st.just(math.nan), max_size=50)


@given(numbers)
def test_the_figures_are_those_of_the_standard_library(given_numbers: list[float]) -> None:
    there = sorted(number for number in given_numbers if not math.isnan(number))
    summary = Summary.of(np.array(given_numbers, dtype=float))
    assert summary.count == len(there)
    if not there:
        return
    percentiles = statistics.quantiles([*there, *there] if len(there) == 1 else there, n=100, method="inclusive")
    expected = [there[0], there[-1], statistics.fmean(there), percentiles[49], percentiles[94], percentiles[98]]
    found = [summary.min, summary.max, summary.mean, summary.p50, summary.p95, summary.p99]
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-6)
    assert summary.min <= summary.p50 <= summary.p95 <= summary.p99 <= summary.max


def test_of_no_numbers_nothing_is_known() -> None:
    for none in ([], [math.nan, math.nan]):
        summary = Summary.of(np.array(none, dtype=float))
        assert summary.count == 0
        assert all(math.isnan(figure) for figure in (summary.min, summary.max, summary.mean, summary.p50, summary.p99))


def test_integers_are_numbers_too() -> None:
    assert Summary.of(np.array([1, 2, 3])).mean == 2


@pytest.mark.filterwarnings("error")
def test_sums_beyond_a_double_are_infinite_without_a_warning() -> None:
    summary = Summary.of(np.array([1.7e308, 1.7e308]))
    assert summary.mean == math.inf
    assert summary.max == 1.7e308
    Summary.of(np.array([-1.7e308, 1.7e308]))
