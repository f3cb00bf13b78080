"""Feed: tells each follower which channels were appended to, by whomever, and admits when it missed some."""

import os
import select

import pytest

PUBLISH_ON_REQUEST = """
import sys
for line in sys.stdin:
    engine.publish("demo", line.strip(), b'{"type":"message","data":1}')
"""


@pytest.fixture
def feed(engine):
    return follow(engine)


def follow(engine, *channels):
    feed = engine.follow()
    for channel in ("room", "ours", "theirs", "one", "two", "three", *channels):
        feed.watch("demo", channel)
    feed.watch("elsewhere", "room")
    return feed


def is_readable(feed, seconds=0.0):
    return bool(select.select([feed.fileno()], [], [], seconds)[0])


def test_a_feed_begins_with_now(engine, say):
    say.publish(engine, "room", "before")
    assert follow(engine).poll() == ([], False)


def test_a_feed_tells_of_all_openers(engine, other, feed, say, wait_for_news):
    say.publish(engine, "ours", 1)
    say.publish(other, "theirs", 1)
    other.publish("elsewhere", "room", say.body(1))
    assert wait_for_news(feed, 3) == ({("demo", "ours"), ("demo", "theirs"), ("elsewhere", "room")}, False)
    assert feed.poll() == ([], False)


def test_a_feed_tells_of_what_is_watched(engine, other, say, wait_for_news):
    feed = engine.follow()
    say.publish(other, "room", 1)
    assert feed.poll() == ([], False)
    for _ in range(2):
        feed.watch("demo", "room")
    feed.unwatch("demo", "room")
    say.publish(other, "room", 1)
    assert wait_for_news(feed) == ({("demo", "room")}, False)
    feed.unwatch("demo", "room")
    feed.unwatch("demo", "room")
    say.publish(other, "room", 1)
    assert feed.poll() == ([], False)


def test_a_feed_tells_of_little_else(other, feed, say):
    for n in range(40):
        say.publish(other, f"unwatched-{n}", 1)
    assert len(feed.poll()[0]) < 4


def test_who_watches_and_then_reads_misses_nothing(engine, feed, spawn, wait_for_news):
    publisher = spawn(PUBLISH_ON_REQUEST)
    for n in range(50):
        publisher.stdin.write(f"late-{n}\n")
        publisher.stdin.flush()
        feed.watch("demo", f"late-{n}")
        while engine.read("demo", f"late-{n}").offset == 0:
            wait_for_news(feed)


def test_every_follower_hears_everything(engine, other, feed, say, wait_for_news):
    feeds = [feed, follow(other)]
    say.publish(engine, "room", 1)
    assert [wait_for_news(each) for each in feeds] == [({("demo", "room")}, False)] * 2


def test_a_channel_is_named_once_however_much_came(engine, other, feed, say, wait_for_news):
    say.publish(other, "room", *range(20))
    other.publish_batch("demo", say.batch(*[("room", n) for n in range(20)]))
    assert wait_for_news(feed) == ({("demo", "room")}, False)


def test_a_feed_tells_of_batches_and_broadcasts(other, feed, say, wait_for_news):
    other.publish_batch("demo", say.batch(("one", 1), ("two", 2), ("no spaces", 3)))
    other.broadcast("demo", b'{"channels":["three"],"type":"message","data":1}')
    assert wait_for_news(feed, 3)[0] == {("demo", "one"), ("demo", "two"), ("demo", "three")}


def test_a_feed_tells_of_forgetting(other, feed, say, wait_for_news):
    say.publish(other, "room", 1)
    wait_for_news(feed)
    feed.poll()
    other.forget("demo", "room")
    assert wait_for_news(feed)[0] == {("demo", "room")}


def test_refusals_and_replays_are_no_news(engine, other, feed, say, wait_for_news):
    say.publish(other, "room", 1, idempotency_key="key")
    wait_for_news(feed)
    assert feed.poll() == ([], False)
    say.publish(other, "room", 1, idempotency_key="key")
    other.publish_batch("demo", say.batch(("no spaces", 1)))
    assert feed.poll() == ([], False)


def test_an_idle_feed_becomes_readable_when_another_process_publishes(engine, feed, spawn, wait_for_news):
    publisher = spawn(PUBLISH_ON_REQUEST)
    for channel in ("one", "two"):
        assert feed.poll() == ([], False)
        assert not is_readable(feed)
        publisher.stdin.write(f"{channel}\n")
        publisher.stdin.flush()
        assert is_readable(feed, 10.0)
        assert wait_for_news(feed) == ({("demo", channel)}, False)


def test_what_comes_between_the_last_poll_and_the_wait_is_not_slept_through(other, feed, say):
    for n in range(100):
        while feed.poll() != ([], False):
            pass
        say.publish(other, "room", n)
        assert is_readable(feed, 10.0)


def test_following_the_feed_finds_every_event(engine, feed, spawn, wait_for_news):
    publisher = spawn(PUBLISH_ON_REQUEST)
    publisher.stdin.write("one\ntwo\n" * 500)
    publisher.stdin.close()
    positions = {"one": (0, ""), "two": (0, "")}
    found: dict[str, list[int]] = {"one": [], "two": []}
    while any(offset < 500 for offset, _ in positions.values()):
        for _, channel in wait_for_news(feed)[0]:
            page = engine.read("demo", channel, *positions[channel], 1000)
            if page.gap:
                found[channel] += range(page.gap.from_offset, page.gap.to_offset + 1)
            found[channel] += [offset for offset, _ in page.events]
            positions[channel] = page.offset, page.epoch
    assert found == {name: list(range(1, 501)) for name in positions}


def test_a_feed_that_was_left_behind_says_so_and_goes_on(engine, other, engine_factory, feed, say, wait_for_news):
    if engine_factory.overrun_bytes is None:
        pytest.skip("it takes too long to leave the feed of this engine behind")
    body = say.body("x" * 60_000)
    for n in range(engine_factory.overrun_bytes // 60_000 + 10):
        other.publish("demo", ("one", "two", "three")[n % 3], body)
    missed = False
    while (polled := feed.poll()) != ([], False):
        missed |= polled[1]
    assert missed
    say.publish(other, "room", 1)
    assert wait_for_news(feed) == ({("demo", "room")}, False)


def test_the_descriptor_is_the_feeds_own(engine, feed):
    assert os.fstat(feed.fileno())
    assert feed.fileno() == feed.fileno()
