import math

import numpy as np
import pytest

from polyglot_gateway.analytics import Analytics


def test_a_rate_is_of_the_last_seconds(columns):
    seen = Analytics(columns([0, 1, 2, 50, 58.5, 59.5, 59.75], read=60))
    assert seen.count == 7
    assert seen.rate(1) == 2
    assert seen.rate(10) == 0.3
    assert seen.rate(0.5) == 2
    assert seen.rate(120) == 7 / 120, "nothing came before the first event of the epoch"
    assert seen.rate() == 6 / 60, "from the first event on"


def test_where_older_events_are_gone_a_rate_is_of_what_is_known(columns):
    seen = Analytics(columns([50, 52, 54, 56, 58], begin=50, read=60))
    assert seen.rate(60) == seen.rate() == 4 / 10
    assert seen.rate(5) == 2 / 5


def test_a_window_may_begin_before_the_first_event(columns):
    seen = Analytics(columns([5], begin=0, read=10))
    assert seen.rate() == seen.rate(60) == 1 / 10
    assert seen.rate(1) == 0


def test_of_no_time_no_rate_is_known(columns):
    never = Analytics(columns([], read=10))
    assert never.begin is None
    assert never.rate(10) == 0, "there never was an event"
    assert math.isnan(never.rate())
    lost = Analytics(columns([], begin=10, read=10))
    assert math.isnan(lost.rate(10)), "all are gone, and nobody knows how many came when"
    assert math.isnan(Analytics(columns([10], read=10)).rate())


def test_intervals_sizes_and_fields_are_summed_up(columns):
    seen = Analytics(columns([0, 1, 3], read=4, price=[1.0, math.nan, 2.0]))
    assert (seen.intervals.count, seen.intervals.min, seen.intervals.max) == (2, 1, 2)
    assert (seen.sizes.count, seen.sizes.mean) == (3, 200)
    assert (seen.fields["/price"].count, seen.fields["/price"].mean) == (2, 1.5)
    assert Analytics(columns([0], read=4)).intervals.count == 0


def test_buckets_cover_all_that_is_known_and_no_more(columns):
    # The start is 20 s after a whole minute.
    buckets = Analytics(columns([0, 39, 40, 41, 161], read=170)).buckets(60)
    assert buckets.counts.tolist() == [2, 2, 0, 1]
    assert (buckets.seconds, buckets.first % 60_000_000) == (60, 0)
    assert Analytics(columns([40], begin=10, read=170)).buckets(60).counts.tolist() == [0, 1, 0, 0]
    assert Analytics(columns([], read=0)).buckets(60).counts.tolist() == [0]


def test_only_the_newest_buckets_are_given(columns):
    seen = Analytics(columns([0, 1, 2, 3], read=3.5))
    buckets = seen.buckets(1, most=2)
    assert buckets.counts.tolist() == [1, 1]
    assert buckets.first == seen.end - 1_500_000


def test_every_event_is_in_the_bucket_of_its_time(columns):
    random = np.random.default_rng(1)
    seen = Analytics(columns(np.sort(random.uniform(0, 500, 1000)), read=500))
    buckets = seen.buckets(7)
    places = [(time - buckets.first) // 7_000_000 for time in seen.columns.times.tolist()]
    assert buckets.counts.tolist() == [places.count(place) for place in range(len(buckets.counts))]
    assert buckets.counts.sum() == 1000


@pytest.mark.parametrize("wrong", [(0, 1), (-1, 1), (1, 0)])
def test_buckets_that_mean_nothing_are_refused(columns, wrong):
    with pytest.raises(ValueError, match="a second at least"):
        Analytics(columns([0], read=1)).buckets(*wrong)
