"""Loss: history is bounded, and who reads on from a position whose next event is gone is told what is missing."""

import time

import pytest

from polyglot_gateway.engine.base import Gap

PATIENCE = 10.0


@pytest.fixture
def size(engine_factory):
    return engine_factory.history_size


def test_the_newest_events_are_kept(engine, other, size, say):
    say.publish(engine, "room", *range(1, 2 * size + 1))
    assert say.kept(other, "room") == list(range(size + 1, 2 * size + 1))
    assert engine.channel("demo", "room")[3:5] == (size + 1, 2 * size)


def test_the_channels_do_not_crowd_each_other_out(engine, size, say):
    say.publish(engine, "quiet", "kept")
    say.publish(engine, "busy", *range(5 * size))
    assert say.kept(engine, "quiet") == ["kept"]


def test_a_reader_from_too_far_back_is_told_what_is_missing(engine, other, size, say):
    epoch = say.publish(engine, "room", *range(1, size + 11))[0].epoch
    for since in range(10):
        page = other.read("demo", "room", since, epoch, 1000)
        assert page.gap == Gap(since + 1, 10, "overwritten")
        assert say.data(page) == list(range(11, size + 11))
        reply = say.history(other, "room", since=since)
        assert not reply["recovered"]
        assert reply["gap"] == {"from": since + 1, "to": 10, "reason": "overwritten"}
        assert reply["events"][0]["offset"] == 11
    assert other.read("demo", "room", 10, epoch).gap is None


def test_without_a_position_nothing_is_missing(engine, size, say):
    say.publish(engine, "room", *range(2 * size))
    assert say.history(engine, "room")["gap"] is None
    assert engine.read("demo", "room").gap is None


def test_the_gap_comes_before_the_first_page_only(engine, size, say):
    epoch = say.publish(engine, "room", *range(1, size + 11))[0].epoch
    page = engine.read("demo", "room", 0, epoch, 5)
    assert (say.data(page), page.offset) == ([11, 12, 13, 14, 15], 15)
    assert page.gap
    assert engine.read("demo", "room", page.offset, epoch, 5).gap is None


def test_a_reader_sees_each_event_or_a_gap_that_covers_it(engine, other, size, say):
    reader, position, epoch = other, 0, ""
    seen, covered = [], []
    for burst in (1, size, 2 * size, 3, size + 1, 1):
        say.publish(engine, "room", *range(burst))
        page = reader.read("demo", "room", position, epoch, 1000)
        if page.gap:
            covered += range(page.gap.from_offset, page.gap.to_offset + 1)
        seen += [offset for offset, _ in page.events]
        position, epoch = page.offset, page.epoch
    assert sorted(seen + covered) == list(range(1, position + 1))
    assert seen == sorted(seen)
    assert covered == [*range(size + 2, 2 * size + 2), 3 * size + 5]


def test_a_batch_larger_than_history_leaves_its_newest_events(engine, size, say):
    engine.publish_batch("demo", say.batch(*[("room", n) for n in range(size + 20)]))
    assert say.kept(engine, "room") == list(range(20, size + 20))


def test_old_events_expire(engine, engine_factory, say):
    hasty = engine_factory(history_ttl=0.5)
    last = say.publish(hasty, "room", *"abc")[-1]
    deadline = time.monotonic() + PATIENCE
    while (page := hasty.read("demo", "room", 0, last.epoch)).offset and page.events:
        assert time.monotonic() < deadline, "nothing expired"
    assert page == (last.epoch, 3, [], Gap(1, 3, "expired"))
    assert hasty.channel("demo", "room") == ("demo", "room", last.epoch, 4, 3, None)
    fresh = say.publish(hasty, "room", "d")[0]
    assert (fresh.offset, fresh.epoch) == (4, last.epoch), "the epoch stays: the reader knows what it missed"
    reply = say.history(hasty, "room", since=1)
    assert reply["gap"] == {"from": 2, "to": 3, "reason": "expired"}
    assert [event["data"] for event in reply["events"]] == ["d"]


def test_a_channel_that_is_pushed_out_gets_a_new_epoch_or_stays(engine, engine_factory, say):
    """However many channels there are, none ever shows another past under an epoch that was given before."""
    first = {f"channel-{n}": say.publish(engine, f"channel-{n}", n)[0] for n in range(200)}
    for n, (name, ack) in enumerate(first.items()):
        page = engine.read("demo", name, 0, ack.epoch)
        if page.epoch == ack.epoch:
            assert say.data(page) == [n]
        else:
            assert (page.events, page.gap) == ([], Gap(0, 0, "epoch_changed"))
            again = say.publish(engine, name, "again")[0]
            assert again.offset == 1
            assert again.epoch != ack.epoch
