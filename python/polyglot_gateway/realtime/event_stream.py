"""Server-sent events of one channel (WHATWG HTML, section "Server-sent events").

A stream is a position and the page that is on its way: it reads pages of a bounded size from the engine and writes
them out, so a slow reader costs little, and what it misses meanwhile it reads later or is told of in a gap. The `id` of
every block is the position after it, `<epoch>:<offset>`; a client that sends the last one back misses nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from datetime import datetime
from typing import Self

import structlog

from polyglot_gateway import _core
from polyglot_gateway.engine.base import Engine, Gap, Page
from polyglot_gateway.errors import EngineDown, GatewayError
from polyglot_gateway.realtime.hub import Hub, Subscription

HEARTBEAT_SECONDS = 15.0
RETRY_MILLISECONDS = 2000
_PAGE = 100
_DOWN_SECONDS = 1.0
"""After which an engine that did not answer is asked again."""

CountDelivered = Callable[[str, int, int], None]
"""Told the app, the number of events and their bytes."""

CountLag = Callable[[float], object]
"""Told the seconds from an event's own time until a reader had it."""

_TIME = b'"ts":"'
_TIME_LENGTH = 27

_log = structlog.get_logger("polyglot_gateway.realtime")


class EventStreams:
    """Opens the streams of one process."""

    def __init__(
        self,
        engine: Engine,
        hub: Hub,
        heartbeat: float = HEARTBEAT_SECONDS,
        hold: Callable[[str, str], _core.Hold] | None = None,
        count_delivered: CountDelivered = lambda app, events, size: None,
        count_lag: CountLag = lambda seconds: None,
    ) -> None:
        """Read from `engine` when `hub` says so.

        Args:
            engine: Has the events.
            hub: Tells of news.
            heartbeat: Seconds without an event after which a comment is written.
            hold: As `Gateway.hold`: counts what is open. None: nothing is counted.
            count_delivered: Told of each page that a reader has taken.
            count_lag: Told of the oldest event of each, once the reader has caught up with history.
        """
        self._engine = engine
        self._hub = hub
        self._heartbeat = heartbeat
        self._hold = hold
        self._count_delivered = count_delivered
        self._count_lag = count_lag

    def open(
        self,
        app: str,
        channel: str,
        epoch: str = "",
        since: int | None = None,
        cut: Callable[[], object] | None = None,
        allowed: Callable[[], bool] = lambda: True,
    ) -> Iterable[bytes]:
        """Return the events after the position, without end until the hub is drained.

        Once it is drained the answer is a stream that ends at once: the reader comes again, where an error would make a
        browser's EventSource give up for good.

        Args:
            app: App id.
            channel: Channel name.
            epoch: What `since` belongs to, "" for the present one.
            since: Offset of the last event that the reader has; None for where the channel stands now.
            cut: Closes the reader's connection from outside, should it stall.
            allowed: Asked before each event, and at each heartbeat; the stream ends once it says no.

        Raises:
            InvalidApp, InvalidChannel, InvalidParameter, EngineUnavailable: As Engine.read.
            RateLimited: The app has as many connections or subscriptions as it may.
        """
        if self._hub.draining:
            return [b"retry: %d\n\n" % RETRY_MILLISECONDS]
        holds = self._take_holds(app)
        subscription = self._hub.subscribe(app, channel, cut)  # before the first read: nothing may come in between
        try:
            page = self._engine.read(app, channel, since, epoch, _PAGE)
        except BaseException:
            self._hub.unsubscribe(subscription)
            _release(holds)
            raise
        start = position(epoch or page.epoch, page.offset if since is None else since)
        return EventStream(
            self._engine,
            self._hub,
            self._heartbeat,
            self._count_delivered,
            self._count_lag,
            subscription,
            start,
            page,
            holds,
            allowed,
        )

    def _take_holds(self, app: str) -> list[_core.Hold]:
        if self._hold is None:
            return []
        holds = [self._hold(app, "connections")]
        try:
            holds.append(self._hold(app, "subscriptions"))
        except BaseException:
            _release(holds)
            raise
        return holds


class EventStream:
    """The body of one reply: an iterator of bytes that the server closes when the reader is gone."""

    def __init__(
        self,
        engine: Engine,
        hub: Hub,
        heartbeat: float,
        count_delivered: CountDelivered,
        count_lag: CountLag,
        subscription: Subscription,
        start: bytes,
        page: Page,
        holds: Sequence[_core.Hold],
        allowed: Callable[[], bool],
    ) -> None:
        self._engine = engine
        self._hub = hub
        self._heartbeat = heartbeat
        self._count_delivered = count_delivered
        self._count_lag = count_lag
        self._subscription = subscription
        self._holds = holds
        self._allowed = allowed
        self._blocks = self._run(start, page)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        return next(self._blocks)

    def close(self) -> None:
        """Free the subscription; a stream that was never read has one too."""
        self._hub.unsubscribe(self._subscription)
        _release(self._holds)
        self._blocks.close()

    def _run(self, start: bytes, page: Page) -> Generator[bytes]:
        # An id without data: the reader has a position to come back to before the first event.
        yield from self._send(b"retry: %d\nid: %s\n\n" % (RETRY_MILLISECONDS, start))
        app, channel = self._subscription.key
        news = self._subscription.news
        down = caught_up = False
        while not self._hub.draining and self._allowed():
            epoch, offset = page.epoch, page.offset
            if page.gap is not None or page.events:
                blocks, events = page_blocks(page), len(page.events)
                oldest = time_of(page.events[0][1]) if caught_up and page.events else None
                del page  # while the reader takes its time, its events are in memory once
                yield from self._send(blocks)
                self._count_delivered(app, events, len(blocks))
                if oldest is not None:
                    self._count_lag(max(0.0, time.time() - oldest))  # the clock is that of another host, with Redis
            else:
                caught_up = True
                if not news.wait(min(self._heartbeat, _DOWN_SECONDS) if down else self._heartbeat):
                    yield from self._send(b":\n\n")
            news.clear()
            try:
                page = self._engine.read(app, channel, offset, epoch, _PAGE)
                down = False
            except EngineDown as error:
                # The reader stays, and gets what it missed when the engine is back.
                if not down:
                    _log.warning("a stream waits", app=app, channel=channel, code=error.code, reason=error.message)
                down = True
                page = Page(epoch, offset, [], None)
            except GatewayError as error:
                _log.warning("a stream ended", app=app, channel=channel, code=error.code, reason=error.message)
                return

    def _send(self, blocks: bytes) -> Generator[bytes]:
        # The server comes back for more when the reader's connection has taken these.
        self._subscription.sending_since = time.monotonic()
        yield blocks
        self._subscription.sending_since = None


def _release(holds: Sequence[_core.Hold]) -> None:
    for hold in holds:
        hold.release()


def position(epoch: str, offset: int) -> bytes:
    """Write a position as it stands in `id` and `Last-Event-ID`."""
    return b"%s:%d" % (epoch.encode(), offset)


def time_of(envelope: bytes) -> float:
    """When the event was made, in seconds since 1970: its `ts`, which stands behind the data (core/envelope.hpp)."""
    begin = envelope.rindex(_TIME) + len(_TIME)
    return datetime.fromisoformat(envelope[begin : begin + _TIME_LENGTH].decode()).timestamp()


def page_blocks(page: Page) -> bytes:
    """Write what a page holds: its gap, then its events."""
    blocks = [_gap_block(page, page.gap)] if page.gap is not None else []
    epoch = page.epoch.encode()
    for offset, envelope in page.events:
        # The data may hold line ends, between its JSON tokens; each line needs its own field.
        data = b"\ndata: ".join(envelope.splitlines())
        blocks.append(b"id: %s:%d\ndata: %s\n\n" % (epoch, offset, data))
    return b"".join(blocks)


def _gap_block(page: Page, gap: Gap) -> bytes:
    after = page.events[0][0] - 1 if page.events else page.offset
    data = json.dumps({"from": gap.from_offset, "to": gap.to_offset, "reason": gap.reason}, separators=(",", ":"))
    return b"event: gap\nid: %s\ndata: %s\n\n" % (position(page.epoch, after), data.encode())
