import os
import select
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.redis_server import RedisServer

from polyglot_gateway.engine.redis_feed import RedisFeed
from polyglot_gateway.engine.redis_link import RedisLink
from polyglot_gateway.errors import EngineDown, EngineUnavailable

PATIENCE = 10.0
QUIET: tuple[list[tuple[str, str]], bool] = ([], False)


@pytest.fixture
def feed(link: RedisLink) -> Iterator[RedisFeed]:
    feed = RedisFeed(link, "news")
    yield feed
    feed.close()


def is_readable(feed: RedisFeed, seconds: float) -> bool:
    return bool(select.select([feed.fileno()], [], [], seconds)[0])


def test_what_was_said_before_a_poll_is_heard_by_it(redis: RedisServer, feed: RedisFeed) -> None:
    for number in range(200):
        redis.client.publish("news", f"demo:room:{number % 3}")
        assert feed.poll() == ([("demo", f"room:{number % 3}")], False)
        assert feed.poll() == QUIET


def test_what_comes_with_the_answer_to_a_poll_is_not_slept_over(redis: RedisServer, feed: RedisFeed) -> None:
    stop = threading.Event()

    def say() -> None:
        while not stop.is_set():
            redis.client.publish("news", f"demo:{time.monotonic_ns()}")

    teller = threading.Thread(target=say)
    teller.start()
    for _ in range(300):
        feed.poll()
    stop.set()
    teller.join()
    while feed.poll() != QUIET:
        assert not is_readable(feed, 0) or feed.poll()
    redis.client.publish("news", "demo:last")
    assert is_readable(feed, PATIENCE)
    assert feed.poll() == ([("demo", "last")], False)


def test_closing_twice_closes_nothing_else(feed: RedisFeed) -> None:
    feed.close()
    with Path("/dev/null").open() as one, Path("/dev/null").open() as other:
        feed.close()
        assert os.fstat(one.fileno())
        assert os.fstat(other.fileno())


def test_who_waits_is_woken(redis: RedisServer, feed: RedisFeed) -> None:
    assert feed.poll() == QUIET
    assert not is_readable(feed, 0)
    redis.client.publish("news", "demo:room")
    assert is_readable(feed, PATIENCE)


def test_a_lost_subscription_is_made_again_and_said(redis: RedisServer, feed: RedisFeed) -> None:
    fd = feed.fileno()
    redis.client.client_kill_filter(_type="pubsub")
    redis.client.publish("news", "demo:unheard")
    assert is_readable(feed, PATIENCE)
    assert feed.poll() == ([], True)
    assert feed.poll() == QUIET
    redis.client.publish("news", "demo:room")
    assert feed.fileno() == fd
    assert is_readable(feed, PATIENCE), "the descriptor is that of the new subscription"
    assert feed.poll() == ([("demo", "room")], False)


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


def test_a_feed_needs_redis_to_begin(redis: RedisServer, link: RedisLink) -> None:
    redis.kill()
    with pytest.raises(EngineDown):
        RedisFeed(link, "news")


def test_a_feed_of_a_closed_link_says_so(link: RedisLink, feed: RedisFeed) -> None:
    link.close()
    with pytest.raises(EngineUnavailable, match="closed"):
        feed.poll()
