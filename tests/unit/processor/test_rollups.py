import json
import multiprocessing

import pytest

from polyglot_gateway.processor.base import ACCEPT, reject, replace
from polyglot_gateway.processor.rollups import IDLE_SECONDS, SAMPLE, Rollups


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def rollups(clock):
    return Rollups(3, clock)


def names(rollups):
    return {channel["channel"] for channel in rollups.report()["channels"]}


def only(rollups):
    (channel,) = rollups.report()["channels"]
    return channel


def test_nothing_came_yet(rollups):
    report = rollups.report()
    assert (report["channels"], report["most_channels"], report["forgotten_channels"]) == ([], 3, 0)
    assert report["other_channels"]["events"] == 0


def test_events_verdicts_and_bytes_are_counted(rollups, event):
    rollups.add([event(b"1"), event(b"22"), event(b"333")], [ACCEPT, replace(1), reject("no")])
    rollups.add([event(b"4444")], [ACCEPT])
    counted = {"events": 4, "accepted": 2, "replaced": 1, "rejected": 1, "bytes": 10}
    assert only(rollups).items() >= {"app_id": "demo", "channel": "room:1", **counted}.items()


def test_a_report_is_json(rollups, event):
    rollups.add([event()], [ACCEPT])
    assert json.loads(json.dumps(rollups.report())) == rollups.report()


def test_rates_are_those_of_whole_seconds(rollups, clock, event):
    for _ in range(6):
        rollups.add([event()] * 10, [ACCEPT] * 10)
        clock.now += 10
    assert only(rollups)["per_second"] == {"1s": 0.0, "60s": 1.0}
    clock.now += 0.5
    rollups.add([event()] * 10, [ACCEPT] * 10)
    assert only(rollups)["per_second"]["1s"] == 0.0  # its second is not over
    clock.now += 1
    assert only(rollups)["per_second"]["1s"] == 10.0
    clock.now += 200
    assert only(rollups)["per_second"] == {"1s": 0.0, "60s": 0.0}


def test_a_second_forgets_what_came_long_before(rollups, clock, event):
    for _ in range(200):
        rollups.add([event()] * 3, [ACCEPT] * 3)
        clock.now += 1
    assert only(rollups)["per_second"] == {"1s": 3.0, "60s": 3.0}


def test_percentiles_are_those_of_the_newest_events(rollups, event):
    rollups.add([event(b"9" * 5000)] * SAMPLE, [ACCEPT] * SAMPLE)
    for size in range(1, SAMPLE + 1):
        rollups.add([event(b"1" * size)], [ACCEPT])
    sizes = only(rollups)["data_bytes"]
    assert sizes == {"p50": 256, "p95": 486, "p99": 507}


def test_a_batch_larger_than_the_sample_leaves_its_newest(rollups, event):
    batch = [event(b"9" * 5000)] * 100 + [event(b"1")] * SAMPLE
    rollups.add(batch, [ACCEPT] * len(batch))
    assert only(rollups)["data_bytes"] == {"p50": 1, "p95": 1, "p99": 1}
    assert only(rollups)["events"] == 100 + SAMPLE


def test_the_busiest_channel_comes_first(rollups, event):
    rollups.add([event(channel="quiet"), *[event(channel="busy")] * 2], [ACCEPT] * 3)
    assert [channel["channel"] for channel in rollups.report()["channels"]] == ["busy", "quiet"]


def test_a_further_channel_takes_the_place_of_one_without_events_for_a_minute(rollups, clock, event):
    for channel in ("a", "b", "c", "a"):
        rollups.add([event(channel=channel)], [ACCEPT])
        clock.now += 1
    clock.now += IDLE_SECONDS - 2
    rollups.add([event(b"22", channel="d")], [ACCEPT])
    assert names(rollups) == {"a", "c", "d"}
    assert rollups.report()["forgotten_channels"] == 1
    newest = next(channel for channel in rollups.report()["channels"] if channel["channel"] == "d")
    assert (newest["events"], newest["bytes"], newest["data_bytes"]["p50"]) == (1, 2, 2)


def test_without_such_a_place_further_channels_are_counted_together(rollups, clock, event):
    for channel in ("a", "b", "c", "d", "e", "d"):
        rollups.add([event(channel=channel)], [ACCEPT])
    assert names(rollups) == {"a", "b", "c"}
    assert rollups.report()["other_channels"]["events"] == 3
    clock.now += IDLE_SECONDS
    rollups.add([event(channel="d")], [ACCEPT])
    assert "d" in names(rollups)


def test_channels_of_two_apps_are_two(rollups, event):
    rollups.add([event(), event()._replace(app="other")], [ACCEPT] * 2)
    assert len(rollups.report()["channels"]) == 2


def test_the_longest_names_are_kept_whole(rollups, event):
    longest = event(channel="c" * 200)._replace(app="a" * 64)
    rollups.add([longest], [ACCEPT])
    assert only(rollups).items() >= {"app_id": "a" * 64, "channel": "c" * 200}.items()


def in_another_process(work):
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(20)
    assert process.exitcode == 0


def test_all_processes_count_together(rollups, event):
    rollups.add([event(channel="a")], [ACCEPT])
    in_another_process(lambda: rollups.add([event(channel="b"), event(channel="a")], [ACCEPT] * 2))
    rollups.add([event(channel="c"), event(channel="b")], [ACCEPT] * 2)
    assert {channel["channel"]: channel["events"] for channel in rollups.report()["channels"]} == {
        "a": 2,
        "b": 2,
        "c": 1,
    }


def test_a_process_heeds_that_another_gave_a_place_away(rollups, clock, event):
    for channel in ("a", "b", "c"):
        rollups.add([event(channel=channel)], [ACCEPT])
        clock.now += 1
    clock.now += IDLE_SECONDS
    in_another_process(lambda: rollups.add([event(channel="d")], [ACCEPT]))
    assert names(rollups) == {"d", "b", "c"}
    rollups.add([event(channel="a")], [ACCEPT])
    assert names(rollups) == {"d", "a", "c"}
    assert all(channel["events"] == 1 for channel in rollups.report()["channels"])


def test_a_process_heeds_places_that_others_took_before_it_took_any(rollups, event):
    in_another_process(lambda: rollups.add([event(channel="a")], [ACCEPT]))
    rollups.add([event(channel="b")], [ACCEPT])
    assert names(rollups) == {"a", "b"}


def test_a_channel_that_lost_its_place_is_not_counted_where_it_was(rollups, clock, event):
    for channel in ("a", "b", "c"):
        rollups.add([event(channel=channel)], [ACCEPT])
    clock.now += IDLE_SECONDS
    rollups.add([event(channel=channel) for channel in ("d", "b", "c", "a")], [ACCEPT] * 4)
    assert {channel["channel"]: channel["events"] for channel in rollups.report()["channels"]}["d"] == 1
    assert rollups.report()["other_channels"]["events"] == 1
