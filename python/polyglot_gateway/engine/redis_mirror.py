"""The mirror: channels of this host's history, kept equal to what Redis has of them.

The native server reads what it delivers from the history here. Redis tells of new events, and sends them along; where
they do not follow what is here, because something was missed or has come to an end, the stream is read.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import structlog

from polyglot_gateway import _core
from polyglot_gateway.engine.base import ChannelInfo, Place
from polyglot_gateway.engine.redis_feed import CHECK_SECONDS, RedisFeed
from polyglot_gateway.engine.redis_reader import Answer, Query, RedisReader, last_of
from polyglot_gateway.errors import EngineUnavailable, GatewayError, InvalidParameter

MOST_ASKED = 100
"""Requests that one round answers; what is new comes between the rounds."""
PAGE = 1000
PAGE_BYTES = 1 << 20
MOST_AT_ONCE = 50
"""Channels that Redis is asked for at a time, each for a page."""
_LOOK_SECONDS = 1.0
_DOWN_SECONDS = 0.25

_log = structlog.get_logger("polyglot_gateway.engine")


class _Ask(NamedTuple):
    since: int | None
    epoch: str
    answer: Callable[[GatewayError | None], None]


class RedisMirror:
    """Follows channels for the subscribers of this process.

    `run` is for one thread, or greenlet; `follow`, `unfollow` and `stop` may be called from any, and do not wait.
    """

    def __init__(self, gateway: _core.Gateway, reader: RedisReader, feed: Callable[[], RedisFeed]) -> None:
        """Copy into `gateway`; `feed` makes a feed, when it is needed."""
        self._gateway = gateway
        self._reader = reader
        self._make_feed = feed
        self._lock = threading.Lock()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK)
        self._asked: list[tuple[Place, _Ask]] = []
        self._wanted: set[Place] = set()
        self._changed = False
        self._checked_at = 0.0
        self._watched: set[Place] = set()
        self._stale: set[Place] = set()
        self._copied: set[Place] = set()  # since they are watched
        self._stopped = False

    def __del__(self) -> None:
        os.close(self._wake)

    def follow(
        self, app: str, channel: str, since: int | None, epoch: str, answer: Callable[[GatewayError | None], None]
    ) -> None:
        """Keep the channel equal from now on.

        Args:
            app: App id.
            channel: Channel name.
            since: An offset from which on the events are wanted, as far as Redis has them; None for none.
            epoch: What `since` belongs to, "" for the present one.
            answer: Called by `run`, with None when the history has what Redis had when this was called. With an error
                when Redis does not answer and the history has nothing of the channel; what it has, it gives.
        """
        with self._lock:
            self._changed = self._changed or (app, channel) not in self._wanted
            self._wanted.add((app, channel))
            self._asked.append(((app, channel), _Ask(since, epoch, answer)))
        os.eventfd_write(self._wake, 1)

    def unfollow(self, app: str, channel: str) -> None:
        """The channel may fall behind from now on."""
        with self._lock:
            self._wanted.discard((app, channel))
            self._changed = True
        os.eventfd_write(self._wake, 1)

    def is_equal(self, app: str, channel: str) -> bool:
        """Whether the history has what Redis had of the channel, as far as it reaches back, when that last answered."""
        return (app, channel) in self._copied and (app, channel) not in self._stale

    def stop(self) -> None:
        """End `run`. Idempotent."""
        self._stopped = True
        os.eventfd_write(self._wake, 1)

    def run(self) -> None:
        """Work until `stop`."""
        feed = self._make_feed()
        ready = select.poll()
        ready.register(self._wake, select.POLLIN)
        ready.register(feed.fileno(), select.POLLIN)
        try:
            while not self._stopped:
                if not self._round(feed):
                    self._wait(ready)
        finally:
            feed.close()

    def _wait(self, ready: select.poll) -> None:
        readable = dict(ready.poll(1000 * (_DOWN_SECONDS if self._stale else _LOOK_SECONDS)))
        if self._wake in readable:
            os.eventfd_read(self._wake)

    def _round(self, feed: RedisFeed) -> bool:
        """One look at everything; whether there may be more at once."""
        with self._lock:
            asked, self._asked = self._asked[:MOST_ASKED], self._asked[MOST_ASKED:]
            more = bool(self._asked)
        try:
            return self._work(feed, asked) or more
        except Exception as error:
            _log.error("the mirror failed", exc_info=error)
            self._stale |= self._watched
            for _, ask in asked:
                ask.answer(EngineUnavailable("The channel could not be followed; the gateway's log says why."))
            return False

    def _work(self, feed: RedisFeed, asked: list[tuple[Place, _Ask]]) -> bool:
        if self._changed:
            asked = self._watch(feed, asked)
        if time.monotonic() - self._checked_at >= CHECK_SECONDS:
            feed.check()
            self._checked_at = time.monotonic()
        news, missed = feed.take()
        for app, channel, replica in news:
            if (app, channel) in self._watched and not self._apply((app, channel), replica):
                self._stale.add((app, channel))
        if missed:
            self._stale |= self._watched
        if asked or self._stale:
            self._bring_up(asked)
        return bool(news)

    def _watch(self, feed: RedisFeed, asked: list[tuple[Place, _Ask]]) -> list[tuple[Place, _Ask]]:
        """Watch what is wanted, and nothing else; what is left of the requests when some are refused."""
        with self._lock:
            self._changed = False
            wanted = set(self._wanted)
        for place in self._watched - wanted:
            feed.unwatch(*place)
            self._stale.discard(place)
            self._copied.discard(place)
        self._watched &= wanted
        for place in wanted - self._watched:
            try:
                feed.watch(*place)
            except EngineUnavailable as error:  # forbidden; who asks is told, and it is tried again
                self._changed = True
                for ask in [ask for of, ask in asked if of == place]:
                    ask.answer(error)
                asked = [(of, ask) for of, ask in asked if of != place]
            else:
                self._watched.add(place)
                self._stale.add(place)
        return asked

    def _apply(self, place: Place, replica: bytes) -> bool:
        # Without events it is up to us to look for them.
        with contextlib.suppress(InvalidParameter):
            return bool(replica) and self._gateway.replicate(*place, replica)
        return False

    def _bring_up(self, asked: list[tuple[Place, _Ask]]) -> None:
        asks: dict[Place, list[_Ask]] = {}
        for place, ask in asked:
            asks.setdefault(place, []).append(ask)
        places = list(self._stale.union(asks))
        for begin in range(0, len(places), MOST_AT_ONCE):
            self._bring_up_some(places[begin : begin + MOST_AT_ONCE], asks)

    def _bring_up_some(self, places: list[Place], asks: dict[Place, list[_Ask]]) -> None:
        found = self._found(places)
        for place in places:
            answer = found[place]
            for ask in asks.get(place, ()):
                trouble = answer if isinstance(answer, GatewayError) else None
                try:
                    if isinstance(answer, Answer):
                        self._reach_back(place, answer, ask)
                except EngineUnavailable as error:
                    trouble = error
                ask.answer(None if trouble is None or self._gateway.holds(*place) else trouble)
            if isinstance(answer, Answer):
                self._stale.discard(place)
                self._copied.add(place)

    def _found(self, places: list[Place]) -> dict[Place, Answer | EngineUnavailable]:
        """What `_top_up` found of each; who has no answer is in nobody else's way."""
        found: dict[Place, Answer | EngineUnavailable] = {}
        try:
            found.update(self._top_up(places))
        except EngineUnavailable as error:
            for place in places:
                found.update(self._found([place]) if len(places) > 1 else {place: error})
        return found

    def _top_up(self, places: list[Place]) -> dict[Place, Answer]:
        """Bring the channels up to what Redis has; what it said of each."""
        found: dict[Place, Answer] = {}
        left = places
        while left:
            states = [self._gateway.replicated(*place) for place in left]
            queries = [self._next(place, state) for place, state in zip(left, states, strict=True)]
            answers = self._reader.read_all([(*place, query) for place, query in zip(left, queries, strict=True)])
            again = []
            for place, state, query, answer in zip(left, states, queries, answers, strict=True):
                if self._take(place, state, query, answer):
                    found[place] = answer
                else:
                    again.append(place)
            left = again
        return found

    def _next(self, place: Place, state: ChannelInfo) -> Query:
        """What Redis has behind that, or where it stands when nobody here is behind yet."""
        if not self._gateway.holds(*place):
            return Query(0, limit=PAGE, enough=PAGE_BYTES) if place in self._copied else Query()
        return Query(state.last_offset, epoch=state.epoch, limit=PAGE, enough=PAGE_BYTES)

    def _take(self, place: Place, state: ChannelInfo, query: Query, answer: Answer) -> bool:
        """Whether the history has all that Redis had."""
        if query.since is None:
            return self._gateway.replace(*place, state.epoch, [answer.events])
        if answer.gap is not None or answer.epoch != state.epoch:
            if answer.gap is not None and answer.gap.reason == "beyond_end":  # it had more before
                raise _taken_away(place)
            return self._replace(place, state.epoch, answer)
        taken = self._gateway.replicate(*place, answer.events)
        now = self._gateway.replicated(*place)
        if now == state and not taken:
            # The next event is too large for the history here.
            return self._replace(place, state.epoch, answer)
        if now == state and now.last_offset < answer.last:
            raise _taken_away(place)
        return now.epoch == answer.epoch and now.last_offset >= answer.last

    def _reach_back(self, place: Place, found: Answer, ask: _Ask) -> None:
        """Bring what the asker has missed, as far as Redis has it."""
        if ask.since is None:
            return
        while True:
            state = self._gateway.replicated(*place)
            follows = ask.epoch.lower() in ("", state.epoch) and ask.since <= state.last_offset
            # Whoever comes from another past gets all that there is of this one.
            first = max(found.first, ask.since + 1) if follows else found.first
            if state.first_offset <= first:
                return
            query = Query(first - 1, epoch=state.epoch, limit=PAGE, enough=PAGE_BYTES)
            (answer,) = self._reader.read_all([(*place, query)])
            if self._replace(place, state.epoch, answer):
                return
            found = answer

    def _replace(self, place: Place, seen: str, answer: Answer) -> bool:
        """Make the history what Redis keeps, which may be several pages; whether that is done."""
        replicas = [answer.events]
        since = last_of(answer.events)
        while since < answer.last:
            query = Query(since, epoch=answer.epoch, limit=PAGE, enough=PAGE_BYTES)
            (answer,) = self._reader.read_all([(*place, query)])
            if answer.gap is not None:
                return False
            replicas.append(answer.events)
            reached = last_of(answer.events)
            if reached <= since:
                raise _taken_away(place)
            since = reached
        return self._gateway.replace(*place, seen, replicas)


def _taken_away(place: Place) -> EngineUnavailable:
    return EngineUnavailable(f"Redis lacks events of {place[1]} that somebody took away; forget the channel.")
