"""Positions: where a reader stands, how it goes on from there, and when that means nothing any more."""

import json
import re

import pytest

from polyglot_gateway.engine.base import Gap
from polyglot_gateway.errors import InvalidParameter

EPOCH = re.compile(r"[0-9a-f]{16}")
OTHER_EPOCH = "0123456789abcdef"
NO_GAP = {"recovered": True, "gap": None}


def test_a_channel_that_never_was_has_a_position(engine, other):
    info = engine.channel("demo", "room")
    assert EPOCH.fullmatch(info.epoch)
    assert info == ("demo", "room", info.epoch, 1, 0, None)
    assert info == other.channel("demo", "room")
    assert engine.read("demo", "room") == (info.epoch, 0, [], None)
    assert engine.channels("demo") == [], "asking does not make a channel"


def test_who_waits_in_an_empty_channel_is_told_of_no_gap(engine, other, say):
    before = engine.read("demo", "room")
    say.publish(other, "room", "first")
    page = engine.read("demo", "room", before.offset, before.epoch)
    assert (say.data(page), page.offset, page.gap) == (["first"], 1, None)


def test_the_epoch_stays_while_nothing_is_lost(engine, other, engine_factory, say):
    first = say.publish(engine, "room", "a")[0]
    epochs = {ack.epoch for ack in say.publish(other, "room", *range(engine_factory.history_size))}
    assert epochs == {first.epoch}
    assert EPOCH.fullmatch(first.epoch)
    assert engine.channel("demo", "room").epoch == other.read("demo", "room").epoch == first.epoch


def test_two_channels_have_two_epochs(engine, say):
    assert say.publish(engine, "one", 0)[0].epoch != say.publish(engine, "two", 0)[0].epoch


def test_reading_without_a_position_says_where_the_channel_stands(engine, say):
    ack = say.publish(engine, "room", *"abc")[-1]
    assert engine.read("demo", "room") == (ack.epoch, 3, [], None)


def test_any_position_can_be_gone_on_from(engine, other, say):
    epoch = say.publish(engine, "room", *range(1, 8))[0].epoch
    for since in range(8):
        page = other.read("demo", "room", since, epoch)
        assert [offset for offset, _ in page.events] == say.data(page) == list(range(since + 1, 8))
        assert (page.epoch, page.offset, page.gap) == (epoch, 7, None)


def test_pages_join_without_hole_or_overlap(engine, say):
    epoch = say.publish(engine, "room", *range(1, 12))[0].epoch
    seen, position = [], 0
    while (page := engine.read("demo", "room", position, epoch, limit=4)).events:
        assert page.gap is None
        seen += say.data(page)
        position = page.offset
    assert (seen, position) == (list(range(1, 12)), 11)


def test_no_epoch_means_the_present_one(engine, say):
    say.publish(engine, "room", *"abc")
    assert say.data(engine.read("demo", "room", 1)) == ["b", "c"]
    assert say.history(engine, "room", since=1)["recovered"]


def test_a_position_under_another_epoch_begins_anew(engine, say):
    ack = say.publish(engine, "room", *"abc")[-1]
    page = engine.read("demo", "room", 2, OTHER_EPOCH)
    assert (page.epoch, say.data(page), page.gap) == (ack.epoch, ["a", "b", "c"], Gap(0, 0, "epoch_changed"))
    reply = say.history(engine, "room", since=2, epoch=OTHER_EPOCH)
    assert (len(reply["events"]), reply["recovered"]) == (3, False)
    assert reply["gap"] == {"from": 0, "to": 0, "reason": "epoch_changed"}


def test_a_position_beyond_the_end_begins_anew(engine, say):
    ack = say.publish(engine, "room", *"abc")[-1]
    page = engine.read("demo", "room", 9, ack.epoch)
    assert (page.offset, say.data(page), page.gap) == (3, ["a", "b", "c"], Gap(0, 0, "beyond_end"))
    assert say.history(engine, "room", since=9)["gap"] == {"from": 0, "to": 0, "reason": "beyond_end"}
    assert engine.read("demo", "empty", 1).gap == Gap(0, 0, "beyond_end")


def test_the_end_itself_is_no_gap(engine, say):
    ack = say.publish(engine, "room", *"abc")[-1]
    assert engine.read("demo", "room", 3, ack.epoch) == (ack.epoch, 3, [], None)


def test_forgetting_ends_the_epoch(engine, other, say):
    old = say.publish(engine, "room", *"abc")[-1]
    fresh = other.forget("demo", "room")
    assert EPOCH.fullmatch(fresh)
    assert fresh != old.epoch
    assert engine.channel("demo", "room") == ("demo", "room", fresh, 1, 0, None)
    assert say.kept(engine, "room") == []
    assert engine.read("demo", "room", old.offset, old.epoch) == (fresh, 0, [], Gap(0, 0, "epoch_changed"))
    assert engine.read("demo", "room", 0, old.epoch).gap == Gap(0, 0, "epoch_changed")


def test_after_forgetting_offsets_begin_anew(engine, other, say):
    old = say.publish(engine, "room", *"abc")[-1]
    fresh = engine.forget("demo", "room")
    ack = say.publish(other, "room", "d")[0]
    assert (ack.offset, ack.epoch) == (1, fresh)
    assert engine.read("demo", "room", 0, fresh).gap is None
    page = engine.read("demo", "room", old.offset, old.epoch)
    assert (say.data(page), page.gap) == (["d"], Gap(0, 0, "epoch_changed"))


def test_forgetting_leaves_other_channels_alone(engine, say):
    one, two = say.publish(engine, "one", 1)[0], say.publish(engine, "two", 2)[0]
    engine.forget("demo", "one")
    assert engine.read("demo", "two", 0, two.epoch).gap is None
    assert say.publish(engine, "two", 3)[0].epoch == two.epoch != one.epoch


def test_forgetting_what_never_was_makes_no_channel(engine):
    assert EPOCH.fullmatch(engine.forget("demo", "room"))
    assert engine.channels("demo") == []


def test_a_channel_says_where_it_stands(engine, other, say):
    acks = say.publish(engine, "room", *"abc")
    info = other.channel("demo", "room")
    assert info == ("demo", "room", acks[0].epoch, 1, 3, acks[-1].timestamp)
    assert other.channels("demo") == [info]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"limit": 3}, [8, 9, 10]),
        ({"limit": 3, "reverse": True}, [10, 9, 8]),
        ({"since": 4, "limit": 3}, [5, 6, 7]),
        ({"since": 4, "limit": 3, "reverse": True}, [10, 9, 8]),
        ({"since": 4, "until": 6}, [5, 6]),
        ({"since": 4, "until": 9, "limit": 2}, [5, 6]),
        ({"since": 4, "until": 9, "limit": 2, "reverse": True}, [9, 8]),
        ({"until": 6, "limit": 2}, [5, 6]),
        ({"until": 6, "limit": 2, "reverse": True}, [6, 5]),
        ({"until": 99}, list(range(1, 11))),
        ({"since": 0}, list(range(1, 11))),
        ({"since": 6, "until": 6}, []),
        ({"since": 7, "until": 5}, []),
        ({"until": 0}, []),
        ({"since": 10}, []),
    ],
)
def test_history_gives_the_range_that_was_asked_for(engine, say, query, expected):
    epoch = say.publish(engine, "room", *range(1, 11))[0].epoch
    reply = say.history(engine, "room", **query)
    assert [event["data"] for event in reply["events"]] == [event["offset"] for event in reply["events"]] == expected
    assert reply == {
        "app_id": "demo", "channel": "room", "count": len(expected), "events": reply["events"],
        "epoch": epoch, "offset": 10, **NO_GAP,
    }  # fmt: skip


def test_history_of_a_channel_that_never_was(engine):
    epoch = engine.channel("demo", "room").epoch
    empty = {"app_id": "demo", "channel": "room", "count": 0, "events": [], "epoch": epoch, "offset": 0}
    assert json.loads(engine.history("demo", "room")) == {**empty, **NO_GAP}


def test_limits_default_to_a_hundred(engine_factory, engine, say):
    size = min(100, engine_factory.history_size)
    say.publish(engine, "room", *range(size))
    assert json.loads(engine.history("demo", "room"))["count"] == len(engine.read("demo", "room", 0).events) == size


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit": 1001}, {"limit": -1}, {"epoch": "xyz"}, {"epoch": "0" * 15}])
@pytest.mark.parametrize("method", ["history", "read"])
def test_parameters_that_mean_nothing_are_refused(engine, method, wrong):
    with pytest.raises(InvalidParameter):
        getattr(engine, method)("demo", "room", since=0, **wrong)
