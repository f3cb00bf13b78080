"""Who waits for which channel, and the one thread that wakes them."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable

import structlog

from polyglot_gateway.engine.base import Feed
from polyglot_gateway.errors import EngineUnavailable

STALLED_SECONDS = 30.0
"""How long a reader may take for what was sent to it before it is cut off; it may come back and resume."""
STALLED_SECONDS_DRAINING = 1.0
"""The same while the worker stops."""
_POLL_MILLISECONDS = 1000

_log = structlog.get_logger("polyglot_gateway.realtime")


class Subscription:
    """One waiter for one channel. It holds no events: after a wake-up its owner reads from where it stands.

    Attributes:
        key: App and channel.
        news: Set when there may be news.
        sending_since: Time (time.monotonic) at which its owner handed on bytes that are not taken yet; None otherwise.
    """

    __slots__ = ("_cut", "key", "news", "sending_since")

    def __init__(self, key: tuple[str, str], cut: Callable[[], object] | None) -> None:
        self.key = key
        self.news = threading.Event()
        self.sending_since: float | None = None
        self._cut = cut

    def cut_if_stalled(self, seconds: float) -> bool:
        """Close the connection of a reader that has not taken what was sent to it for so long.

        Returns:
            Whether bytes are on their way that the reader may yet stall on.
        """
        since = self.sending_since
        if self._cut is None or since is None:
            return False
        if time.monotonic() - since > seconds:
            with contextlib.suppress(OSError):  # it may be closed already
                self._cut()
        return True


class Hub:
    """Wakes subscriptions when their channel was appended to, by any process that shares the engine.

    The follower starts with the first subscription, so after a fork, and as a thread or, under gevent, a greenlet.
    Thread safe.
    """

    def __init__(self, follow: Callable[[], Feed], stalled_seconds: float = STALLED_SECONDS) -> None:
        """Use `Engine.follow` to make the feed when it is needed; cut readers that stall for `stalled_seconds`."""
        self._follow = follow
        self._stalled_seconds = stalled_seconds
        self._lock = threading.Lock()
        self._subscriptions: dict[tuple[str, str], set[Subscription]] = {}
        self._feed: Feed | None = None
        self._follower: threading.Thread | None = None
        self._stop = -1
        self._draining = False

    @property
    def draining(self) -> bool:
        """Whether every stream has to end now."""
        return self._draining

    def subscribe(self, app: str, channel: str, cut: Callable[[], object] | None = None) -> Subscription:
        """Return a subscription that hears of everything appended from now on.

        Args:
            app: App id.
            channel: Channel name.
            cut: Closes the reader's connection from outside, should it stall.

        Raises:
            EngineUnavailable: The hub is drained, or the engine cannot be followed.
        """
        subscription = Subscription((app, channel), cut)
        with self._lock:
            if self._draining:
                raise EngineUnavailable("This worker is shutting down; connect again.")
            feed = self._start()
            self._subscriptions.setdefault(subscription.key, set()).add(subscription)
        try:
            feed.watch(app, channel)  # without the lock: it may wait for what keeps the events
        except BaseException:
            self._remove(subscription)
            raise
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Forget the subscription; does nothing when that was done before."""
        feed = self._remove(subscription)
        if feed is not None:
            feed.unwatch(*subscription.key)

    def count(self) -> int:
        """Subscriptions that there are now."""
        with self._lock:
            return sum(map(len, self._subscriptions.values()))

    def drain(self) -> None:
        """End all streams and take no new subscriptions; readers that stall are cut off within seconds. Idempotent."""
        with self._lock:
            self._draining = True
            if self._stop >= 0:
                os.eventfd_write(self._stop, 1)
        self._wake_all()

    def close(self) -> None:
        """Drain, and wait until the follower has let go of the feed. Idempotent."""
        self.drain()
        if self._follower is not None:
            self._follower.join()
        with self._lock:
            self._feed = None
            if self._stop >= 0:
                os.close(self._stop)
                self._stop = -1

    def _remove(self, subscription: Subscription) -> Feed | None:
        """Returns the feed that watches for it, None when the subscription was removed before."""
        with self._lock:
            waiting = self._subscriptions.get(subscription.key, set())
            if subscription not in waiting:
                return None
            waiting.remove(subscription)
            if not waiting:
                del self._subscriptions[subscription.key]
            return self._feed

    def _start(self) -> Feed:
        if self._feed is None:
            self._feed = self._follow()
            self._stop = os.eventfd(0)
        if self._follower is None or not self._follower.is_alive():
            self._follower = threading.Thread(target=self._run, args=(self._feed,), name="feed", daemon=True)
            self._follower.start()
        return self._feed

    def _run(self, feed: Feed) -> None:
        ready = select.poll()  # not select.select: a busy worker's descriptors go beyond its limit of 1024
        ready.register(feed.fileno(), select.POLLIN)
        ready.register(self._stop, select.POLLIN)
        try:
            while not self._draining:
                self._deliver(feed)  # before the first wait: a feed calls only after it was found empty
                self._cut_stalled(self._stalled_seconds)
                ready.poll(_POLL_MILLISECONDS)
        except Exception as error:
            # Streams also read when they have waited for a heartbeat, so they go on, only later than they should;
            # the next subscription starts the follower again.
            _log.error("the follower stopped", exc_info=error)
            self._wake_all()
        deadline = time.monotonic() + 2 * STALLED_SECONDS_DRAINING
        while self._draining and time.monotonic() < deadline and self._cut_stalled(STALLED_SECONDS_DRAINING):
            time.sleep(0.1)

    def _deliver(self, feed: Feed) -> None:
        while True:
            channels, overrun = feed.poll()
            if overrun:
                self._wake_all()
            elif not channels:
                return
            with self._lock:
                for key in channels:
                    for subscription in self._subscriptions.get(key, ()):
                        subscription.news.set()
            time.sleep(0)  # under gevent nothing else here would let the streams run

    def _cut_stalled(self, seconds: float) -> bool:
        with self._lock:
            everybody = [one for waiting in self._subscriptions.values() for one in waiting]
        return sum(one.cut_if_stalled(seconds) for one in everybody) > 0

    def _wake_all(self) -> None:
        with self._lock:
            for subscriptions in self._subscriptions.values():
                for subscription in subscriptions:
                    subscription.news.set()
