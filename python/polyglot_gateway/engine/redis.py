"""The Redis engine: several instances of the gateway behave as one, because Redis keeps the events.

Events are checked and serialised here and appended there; who may do what is decided here. Whatever ends a channel's
past in Redis (FLUSHALL, eviction, a restart without data, its TTL) ends its epoch, so that readers are told.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from redis.exceptions import ResponseError

from polyglot_gateway import _core
from polyglot_gateway.engine.base import Ack, ChannelInfo, Engine, Gap, GapReason, Page
from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.engine.redis_appender import RedisAppender, new_epoch
from polyglot_gateway.engine.redis_feed import RedisFeed
from polyglot_gateway.engine.redis_keys import RedisKeys
from polyglot_gateway.engine.redis_link import LIBRARY, Command, RedisLink, refused
from polyglot_gateway.errors import InvalidParameter

MOST_LIMIT = 1000
ALL = 2**53
"""More events than any channel has."""
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class _Query(NamedTuple):
    """What of a channel is asked for, as `Engine.history` has it."""

    since: int | None = None
    until: int | None = None
    epoch: str = ""
    limit: int = 0
    reverse: bool = False
    size: int = ALL
    """Only so many newest events count."""


class _Read(NamedTuple):
    """Part of a channel, as the function `read` gives it."""

    epoch: str
    last: int
    newest_us: int
    first: int
    gap: Gap | None
    events: list[tuple[int, bytes]]


class RedisEngine:
    """Fulfils `Engine` with a Redis that several instances share.

    `local` decides who may do what (`configure`, `authorize`, `max_event_bytes`) and keeps the counters of this
    instance. Open it after the fork, as the embedded engine.
    """

    def __init__(
        self,
        local: EmbeddedEngine,
        url: str,
        *,
        prefix: str = "polyglot",
        history_size: int = 1000,
        seconds: float = 604_800.0,
    ) -> None:
        """Make the engine; Redis is first asked when it is needed.

        Args:
            local: The instance's own; it is closed with this one. Its history stays empty.
            url: As RedisLink has it.
            prefix: Before the names of all keys and channels; gateways with another one do not meet.
            history_size: Most events kept per channel.
            seconds: How long a channel is kept after its last event.

        Raises:
            ValueError: The URL is not one of Redis.
        """
        self.gateway = local.gateway
        self.configure = local.configure
        self.authorize = local.authorize
        self.max_event_bytes = local.max_event_bytes
        self.count_refused = local.count_refused
        self.counters = local.counters
        self.latencies = local.latencies
        self.segment = local.segment
        self.notices = local.notices
        self._local = local
        self._link = RedisLink(url)
        self._keys = RedisKeys(prefix)
        self._history_size = history_size
        self._milliseconds = int(seconds * 1000)
        self._appender = RedisAppender(self._link, self._keys, self._bounds)

    def publish(
        self, app: str, channel: str, body: bytes, idempotency_key: str = "", source_ip: str = "", user_id: str = ""
    ) -> Ack:
        """See `Engine`."""
        submission = self.gateway.prepare(app, channel, body, idempotency_key, source_ip, user_id)
        self._appender.append(app, submission)
        return submission.ack()

    def publish_batch(
        self,
        app: str,
        body: bytes,
        ndjson: bool = False,
        idempotency_key: str = "",
        source_ip: str = "",
        user_id: str = "",
    ) -> bytes:
        """See `Engine`."""
        submission = self.gateway.prepare_batch(app, body, ndjson, idempotency_key, source_ip, user_id)
        self._appender.append(app, submission)
        return submission.results()

    def broadcast(
        self, app: str, body: bytes, idempotency_key: str = "", source_ip: str = "", user_id: str = ""
    ) -> bytes:
        """See `Engine`."""
        submission = self.gateway.prepare_broadcast(app, body, idempotency_key, source_ip, user_id)
        self._appender.append(app, submission)
        return submission.results()

    def history(
        self,
        app: str,
        channel: str,
        limit: int = 100,
        since: int | None = None,
        until: int | None = None,
        reverse: bool = False,
        epoch: str = "",
    ) -> bytes:
        """See `Engine`."""
        _check_position(limit, epoch)
        size = self.gateway.rule(app, channel).history_size
        found = self._read(app, channel, _Query(since, until, epoch, limit, reverse, size))
        events = b",".join([envelope for _, envelope in found.events])
        gap = b"null"
        if found.gap:
            gap = b'{"from":%d,"to":%d,"reason":"%s"}' % (*found.gap[:2], found.gap.reason.encode())
        return (
            b'{"app_id":"%s","channel":"%s","count":%d,' % (app.encode(), channel.encode(), len(found.events))
            + b'"events":[%s],"epoch":"%s","offset":%d,' % (events, found.epoch.encode(), found.last)
            + b'"recovered":%s,"gap":%s}' % (b"false" if found.gap else b"true", gap)
        )

    def read(self, app: str, channel: str, since: int | None = None, epoch: str = "", limit: int = 100) -> Page:
        """See `Engine`."""
        _check_position(limit, epoch)
        found = self._read(app, channel, _Query(since, epoch=epoch, limit=0 if since is None else limit))
        return Page(found.epoch, found.events[-1][0] if found.events else found.last, found.events, found.gap)

    def forget(self, app: str, channel: str) -> str:
        """See `Engine`."""
        self._check(app, channel)
        epoch = new_epoch()
        milliseconds = self._bounds(app, channel)[1]
        self._link.ask("FCALL", f"{LIBRARY}_forget", 1, self._keys.stream(app, channel), epoch, milliseconds)
        return f"{epoch:016x}"

    def channel(self, app: str, channel: str) -> ChannelInfo:
        """See `Engine`."""
        size = self.gateway.rule(app, channel).history_size
        return _info(app, channel, self._read(app, channel, _Query(size=size)))

    def channels(self, app: str, after: str = "", limit: int = 100) -> list[ChannelInfo]:
        """See `Engine`."""
        self._link.check_open()
        _core.check_app(app)
        found: list[ChannelInfo] = []
        while len(found) < limit:
            wanted = limit - len(found)
            key = self._keys.channels(app)
            names = [
                name.decode()
                for name in self._link.ask(
                    "ZRANGE", key, f"({after}" if after else "-", "+", "BYLEX", "LIMIT", 0, wanted
                )
            ]
            query = _Query(size=self._history_size)
            answers = self._link.send([self._command(app, name, query) for name in names])
            gone = []
            for name, answer in zip(names, answers, strict=True):
                read = self._parse(answer)
                if read:
                    found.append(_info(app, name, read))
                elif answer:
                    found.append(self.channel(app, name))
                else:
                    gone.append(name)
            if gone:
                self._link.ask("ZREM", key, *gone)
            if len(names) < wanted:
                break
            after = names[-1]
        return found

    def follow(self) -> RedisFeed:
        """See `Engine`."""
        self._link.check_open()
        return RedisFeed(self._link, self._keys)

    def ready(self) -> list[str]:
        """See `Engine`."""
        trouble = self._link.trouble()
        return self._local.ready() + ([trouble] if trouble else [])

    def close(self) -> None:
        """See `Engine`."""
        self._link.close()
        self._local.close()

    def _bounds(self, app: str, channel: str) -> tuple[int, int]:
        rule = self.gateway.rule(app, channel)
        return min(rule.history_size, self._history_size), max(self._milliseconds, int(rule.history_ttl * 1000))

    def _check(self, app: str, channel: str) -> None:
        self._link.check_open()
        _core.check_app(app)
        _core.check_channel(channel)

    def _read(self, app: str, channel: str, query: _Query) -> _Read:
        self._check(app, channel)
        command = self._command(app, channel, query)
        with self._link.turns:
            while True:
                answer = self._link.ask(*command)
                found = self._parse(answer)
                if found:
                    return found
                if answer:
                    self._renew(app, channel, int(answer[0]))
                    continue
                # Who stands in a channel before its first event is in an epoch too, and so the channel has to be.
                self._link.ask(
                    "FCALL", f"{LIBRARY}_begin", 1, self._keys.stream(app, channel), new_epoch(),
                    self._bounds(app, channel)[1],
                )  # fmt: skip

    def _renew(self, app: str, channel: str, epoch: int) -> None:
        """End an epoch because another Redis, or a new life of it, may lack some of its events."""
        self._link.ask("FCALL", f"{LIBRARY}_renew", 1, self._keys.stream(app, channel), epoch, new_epoch())

    def _command(self, app: str, channel: str, query: _Query) -> Command:
        ttl = self.gateway.rule(app, channel).history_ttl
        not_before = int((datetime.now(UTC) - _BEGINNING) / timedelta(microseconds=1) - ttl * 1e6) if ttl else 0
        return [
            "FCALL_RO", f"{LIBRARY}_read", 1, self._keys.stream(app, channel),
            "" if query.since is None else query.since, "" if query.until is None else query.until,
            str(int(query.epoch, 16)) if query.epoch else "", query.limit, int(query.reverse), query.size, not_before,
        ]  # fmt: skip

    @staticmethod
    def _parse(answer: Any) -> _Read | None:
        if isinstance(answer, ResponseError):
            raise refused(answer)
        if len(answer) < 2:
            return None
        last, epoch, newest_us, first, reason, gap_from, gap_to, entries = answer
        gap = None
        if reason:
            why: GapReason = reason.decode()
            gap = Gap(gap_from, gap_to, why)
        events = []
        for id_, fields in entries:
            offset = int(id_.partition(b"-")[0])
            events.append((offset, b"%s%d}" % (fields[1], offset)))
        return _Read(f"{int(epoch):016x}", last, newest_us, first, gap, events)


def _check_position(limit: int, epoch: str) -> None:
    if not 1 <= limit <= MOST_LIMIT:
        raise InvalidParameter(f"limit is {limit}; allowed is 1 to {MOST_LIMIT}.")
    if epoch and (len(epoch) != 16 or any(digit not in "0123456789abcdefABCDEF" for digit in epoch)):
        raise InvalidParameter(f'epoch is "{epoch}"; allowed is 16 hex digits.')


def _info(app: str, channel: str, read: _Read) -> ChannelInfo:
    newest = None
    if read.newest_us:
        newest = (_BEGINNING + timedelta(microseconds=read.newest_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return ChannelInfo(app, channel, read.epoch, read.first, read.last, newest)


_: Callable[..., Engine] = RedisEngine
