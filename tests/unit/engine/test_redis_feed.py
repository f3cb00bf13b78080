import os
import select
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.redis_server import RedisServer

from polyglot_gateway.engine.redis_feed import MOST_MESSAGES, RedisFeed
from polyglot_gateway.engine.redis_keys import RedisKeys
from polyglot_gateway.engine.redis_link import RedisLink
from polyglot_gateway.errors import EngineUnavailable

PATIENCE = 10.0
QUIET: tuple[list[tuple[str, str]], bool] = ([], False)


@pytest.fixture
def feed(link: RedisLink) -> Iterator[RedisFeed]:
    feed = RedisFeed(link, RedisKeys("p"))
    feed.watch("demo", "room")
    yield feed
    feed.close()


def tell(redis: RedisServer, channel: str = "room", payload: bytes = b"") -> int:
    return redis.client.execute_command("SPUBLISH", f"p:{{demo:{channel}}}", payload)


def is_readable(feed: RedisFeed, seconds: float) -> bool:
    return bool(select.select([feed.fileno()], [], [], seconds)[0])


def test_what_was_said_before_a_poll_is_heard_by_it(redis: RedisServer, feed: RedisFeed) -> None:
    for number in range(3):
        feed.watch("demo", f"room:{number}")
    for number in range(200):
        tell(redis, f"room:{number % 3}")
        assert feed.poll() == ([("demo", f"room:{number % 3}")], False)
        assert feed.poll() == QUIET


def test_messages_are_taken_in_order_with_what_they_say(redis: RedisServer, feed: RedisFeed) -> None:
    feed.watch("demo", "hall")
    for payload in (b"", b"\xff\r\n", b"last"):
        tell(redis, "room", payload)
        tell(redis, "hall", payload)
    feed.check()
    told = [("demo", channel, payload) for payload in (b"", b"\xff\r\n", b"last") for channel in ("room", "hall")]
    assert feed.take() == (told, False)
    assert feed.take() == ([], False)


def test_what_comes_with_the_answer_to_a_poll_is_not_slept_over(redis: RedisServer, feed: RedisFeed) -> None:
    stop = threading.Event()

    def say() -> None:
        while not stop.is_set():
            tell(redis)

    teller = threading.Thread(target=say)
    teller.start()
    for _ in range(300):
        feed.poll()
    stop.set()
    teller.join()
    while feed.poll() != QUIET:
        assert not is_readable(feed, 0) or feed.poll()
    tell(redis)
    assert is_readable(feed, PATIENCE)
    assert feed.poll() == ([("demo", "room")], False)


def test_what_was_read_and_not_taken_wakes_who_waits(redis: RedisServer, feed: RedisFeed) -> None:
    tell(redis)
    feed.watch("demo", "hall")
    tell(redis)
    feed.check()
    assert is_readable(feed, 0)
    assert feed.take() == ([("demo", "room", b"")] * 2, False)
    assert not is_readable(feed, 0)


def test_a_flood_is_taken_in_parts(redis: RedisServer, feed: RedisFeed) -> None:
    with redis.client.pipeline(transaction=False) as pipeline:
        for _ in range(20 * MOST_MESSAGES):
            pipeline.execute_command("SPUBLISH", "p:{demo:room}", b"")
        pipeline.execute()
    parts = []
    while sum(parts) < 20 * MOST_MESSAGES:
        assert is_readable(feed, PATIENCE)
        parts.append(len(feed.take()[0]))
    assert max(parts) < 3 * MOST_MESSAGES
    assert feed.poll() == QUIET


def test_only_watched_channels_are_heard_of(redis: RedisServer, feed: RedisFeed) -> None:
    assert tell(redis, "hall") == 0
    feed.watch("demo", "hall")
    feed.watch("demo", "hall")
    feed.unwatch("demo", "hall")
    assert tell(redis, "hall") == 1
    assert feed.poll() == ([("demo", "hall")], False)
    tell(redis, "hall")
    feed.unwatch("demo", "hall")
    assert feed.poll() == QUIET
    assert tell(redis, "hall") == 0
    feed.unwatch("demo", "hall")
    feed.watch("demo", "hall")
    assert tell(redis, "hall") == 1, "one unwatch too many is none"


def test_a_watch_returns_when_it_is_heard(redis: RedisServer, feed: RedisFeed) -> None:
    for number in range(200):
        feed.watch("demo", f"room:{number}")
        assert tell(redis, f"room:{number}") == 1
        feed.unwatch("demo", f"room:{number}")


def test_many_watch_while_one_polls(redis: RedisServer, feed: RedisFeed) -> None:
    heard: set[tuple[str, str]] = set()
    failures: list[str] = []
    stop = threading.Event()

    def follow() -> None:
        while not stop.is_set():
            is_readable(feed, 0.1)
            heard.update(feed.poll()[0])

    def watch(first: int) -> None:
        for number in range(first, first + 50):
            feed.watch("demo", f"kept:{number}")
            feed.watch("demo", f"left:{number}")
            if tell(redis, f"kept:{number}") != 1:
                failures.append(f"kept:{number} is not heard")
            feed.unwatch("demo", f"left:{number}")

    threads = [threading.Thread(target=watch, args=(50 * number,)) for number in range(8)]
    follower = threading.Thread(target=follow)
    for thread in (follower, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    follower.join()
    heard.update(feed.poll()[0])
    assert not failures
    assert heard == {("demo", f"kept:{number}") for number in range(400)}
    assert len(redis.client.execute_command("PUBSUB", "SHARDCHANNELS")) == 401
    assert len(redis.client.client_list(_type="pubsub")) == 1, "one connection for all"


def test_closing_twice_closes_nothing_else(feed: RedisFeed) -> None:
    feed.close()
    with Path("/dev/null").open() as one, Path("/dev/null").open() as other:
        feed.close()
        assert os.fstat(one.fileno())
        assert os.fstat(other.fileno())


def test_who_waits_is_woken(redis: RedisServer, feed: RedisFeed) -> None:
    assert feed.poll() == QUIET
    assert not is_readable(feed, 0)
    tell(redis)
    assert is_readable(feed, PATIENCE)


def test_a_lost_subscription_is_made_again_and_said(redis: RedisServer, feed: RedisFeed) -> None:
    fd = feed.fileno()
    feed.watch("demo", "hall")
    redis.client.client_kill_filter(_type="pubsub")
    tell(redis)
    assert is_readable(feed, PATIENCE)
    assert feed.poll() == ([], True)
    assert feed.poll() == QUIET
    tell(redis)
    tell(redis, "hall")
    assert feed.fileno() == fd
    assert is_readable(feed, PATIENCE), "the descriptor shows the new subscription"
    assert feed.poll() == ([("demo", "room"), ("demo", "hall")], False)


def test_who_takes_without_asking_hears_of_it_too(redis: RedisServer, feed: RedisFeed) -> None:
    redis.client.client_kill_filter(_type="pubsub")
    deadline = time.monotonic() + PATIENCE
    while not feed.take()[1]:
        assert is_readable(feed, deadline - time.monotonic())
    assert tell(redis) == 1


def test_a_connection_that_is_dead_is_found(redis: RedisServer, feed: RedisFeed) -> None:
    with redis.paused():
        feed.check()
        assert feed.take() == ([], False)
    deadline = time.monotonic() + PATIENCE
    while (polled := feed.poll()) == QUIET:
        assert time.monotonic() < deadline
    assert polled == ([], True)


def test_without_redis_there_is_nothing_new_until_it_is_back(redis: RedisServer, feed: RedisFeed) -> None:
    redis.kill()
    for _ in range(3):
        assert feed.poll() == QUIET
    assert not is_readable(feed, 0), "who waits is not kept busy"
    redis.start()
    deadline = time.monotonic() + PATIENCE
    while (polled := feed.poll()) == QUIET:
        assert time.monotonic() < deadline
    assert polled == ([], True)


def test_what_is_watched_without_redis_is_heard_when_it_is_back(redis: RedisServer, link: RedisLink) -> None:
    redis.kill()
    feed = RedisFeed(link, RedisKeys("p"))
    feed.watch("demo", "room")
    redis.start()
    deadline = time.monotonic() + PATIENCE
    while (polled := feed.poll()) == QUIET:
        assert time.monotonic() < deadline
    assert polled == ([], True)
    tell(redis)
    assert feed.poll() == ([("demo", "room")], False)
    feed.close()


def test_what_redis_forbids_to_hear_is_said(redis: RedisServer, feed: RedisFeed) -> None:
    redis.client.execute_command("ACL", "SETUSER", "default", "resetchannels", "&p:{demo:room}")
    with pytest.raises(EngineUnavailable, match="Redis refuses: NOPERM"):
        feed.watch("demo", "hall")
    assert feed.poll() == QUIET
    redis.client.execute_command("ACL", "SETUSER", "default", "allchannels")
    feed.watch("demo", "hall")
    tell(redis, "hall")
    assert feed.poll() == ([("demo", "hall")], False)


def test_what_redis_forbids_to_hear_again_is_asked_for_until_it_may_be(redis: RedisServer, feed: RedisFeed) -> None:
    redis.client.execute_command("ACL", "SETUSER", "default", "resetchannels")
    redis.client.client_kill_filter(_type="pubsub")
    for _ in range(30):
        is_readable(feed, 0.01)
        assert feed.take() == ([], False)
    assert redis.client.info("commandstats")["cmdstat_ssubscribe"]["rejected_calls"] < 10, "it is not kept busy"
    redis.client.execute_command("ACL", "SETUSER", "default", "allchannels")
    deadline = time.monotonic() + PATIENCE
    while (polled := feed.poll()) == QUIET:
        assert time.monotonic() < deadline
    assert polled == ([], True)
    tell(redis)
    assert feed.poll() == ([("demo", "room")], False)


def test_a_feed_of_a_closed_link_says_so(link: RedisLink, feed: RedisFeed) -> None:
    link.close()
    for call in (feed.poll, feed.take, feed.check, lambda: feed.watch("demo", "hall")):
        with pytest.raises(EngineUnavailable, match="closed"):
            call()
    feed.unwatch("demo", "room")
