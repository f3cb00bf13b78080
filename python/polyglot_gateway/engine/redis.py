"""The Redis engine: several instances of the gateway behave as one, because Redis keeps the events.

Events are checked and serialised here and appended there; who may do what is decided here. Whatever ends a channel's
past in Redis (FLUSHALL, eviction, a restart without data, its TTL) ends its epoch, so that readers are told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from polyglot_gateway import _core
from polyglot_gateway.calls import Observe
from polyglot_gateway.engine.base import ChannelInfo, Columns, Engine, Page
from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.engine.preparing import PreparingPublisher
from polyglot_gateway.engine.redis_appender import RedisAppender
from polyglot_gateway.engine.redis_feed import RedisFeed
from polyglot_gateway.engine.redis_forwarder import Forwarder
from polyglot_gateway.engine.redis_keys import RedisKeys
from polyglot_gateway.engine.redis_link import LIBRARY, RedisLink
from polyglot_gateway.engine.redis_mirror import RedisMirror
from polyglot_gateway.engine.redis_reader import BEGINNING, Answer, Query, RedisReader
from polyglot_gateway.engine.redis_spool import Spool
from polyglot_gateway.engine.redis_subscriber import Listen
from polyglot_gateway.errors import EngineDown, InvalidParameter

MOST_LIMIT = 1000
ENOUGH_BYTES = 1 << 16
"""Of a page for a follower, and then the rest of what was appended together with its last event."""


class RedisEngine(PreparingPublisher):
    """Fulfils `Engine` with a Redis that several instances share.

    `local` decides who may do what and how much, as the embedded engine does, and keeps the counters of this
    instance. Open it after the fork, as the embedded engine.

    Attributes:
        appender: Sends what is published to Redis.
        append: By it, what was checked before.
    """

    def __init__(
        self,
        local: EmbeddedEngine,
        url: str,
        *,
        prefix: str = "polyglot",
        history_size: int = 1000,
        seconds: float = 604_800.0,
        spool: Spool | None = None,
        observe: Observe | None = None,
    ) -> None:
        """Make the engine; Redis is first asked when it is needed.

        Args:
            local: The instance's own; it is closed with this one. Its history holds copies.
            url: As RedisLink has it.
            prefix: Before the names of all keys and channels; gateways with another one do not meet.
            history_size: Most events kept per channel.
            seconds: How long a channel is kept after its last event.
            spool: Where events wait while Redis does not answer; it is closed with this one. None: they are refused.
            observe: Watches what is sent to append events.

        Raises:
            ValueError: The URL is not one of Redis.
        """
        super().__init__(local.gateway, lambda submission, place: self.append([submission], place))
        self.gateway = local.gateway
        self.configure = local.configure
        self.authorize = local.authorize
        self.max_event_bytes = local.max_event_bytes
        self.rate_limit = local.rate_limit
        self.limits = local.limits
        self.count_refused = local.count_refused
        self.counters = local.counters
        self.apps = local.apps
        self.gauges = local.gauges
        self.latencies = local.latencies
        self.segment = local.segment
        self.notices = local.notices
        self._local = local
        self._link = RedisLink(url)
        self._keys = RedisKeys(prefix)
        layout = _core.RedisLayout(
            prefix=prefix, function=f"{LIBRARY}_append", history_size=history_size, keep_ms=int(seconds * 1000)
        )
        self._reader = RedisReader(self._link, self._keys, self.gateway, layout)
        self.appender = RedisAppender(self._link, self._keys, self.gateway, layout, spool, observe)
        self.append = self.appender.append
        self._mirror: RedisMirror | None = None
        self._spool = spool
        self._forwarder: Forwarder | None = None
        if spool is not None:
            self._forwarder = Forwarder(spool, self.appender, self._reader, self._link, self.gateway)
            self._forwarder.start()

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
        rule = self.gateway.rule(app, channel)
        query = Query(since, until, epoch, limit, reverse, rule.history_size, rule.history_ttl)
        try:
            found, read = self._reader.read(app, channel, query)
        except EngineDown:
            if not self._is_copied(app, channel, query):
                raise
            return self._local.history(app, channel, limit, since, until, reverse, epoch)
        events = b",".join([envelope for _, envelope in read])
        gap = b"null"
        if found.gap:
            gap = b'{"from":%d,"to":%d,"reason":"%s"}' % (*found.gap[:2], found.gap.reason.encode())
        return (
            b'{"app_id":"%s","channel":"%s","count":%d,' % (app.encode(), channel.encode(), len(read))
            + b'"events":[%s],"epoch":"%s","offset":%d,' % (events, found.epoch.encode(), found.last)
            + b'"recovered":%s,"gap":%s}' % (b"false" if found.gap else b"true", gap)
        )

    def read(self, app: str, channel: str, since: int | None = None, epoch: str = "", limit: int = 100) -> Page:
        """See `Engine`."""
        _check_position(limit, epoch)
        ttl = self.gateway.rule(app, channel).history_ttl
        query = Query(since, epoch=epoch, limit=0 if since is None else limit, ttl=ttl, enough=ENOUGH_BYTES)
        found, events = self._reader.read(app, channel, query)
        return Page(found.epoch, events[-1][0] if events else found.last, events, found.gap)

    def columns(self, app: str, channel: str, fields: Sequence[str] = (), window: float = 0.0) -> Columns:
        """See `Engine`."""
        _core.check_columns(fields, window)
        rule = self.gateway.rule(app, channel)
        spans = [seconds for seconds in (window, rule.history_ttl) if seconds]
        query = Query(size=rule.history_size, ttl=min(spans, default=0.0))
        return self._reader.columns(app, channel, fields, query)

    def forget(self, app: str, channel: str) -> str:
        """See `Engine`."""
        return self._reader.forget(app, channel)

    def channel(self, app: str, channel: str) -> ChannelInfo:
        """See `Engine`."""
        return _info(app, channel, self._reader.stand(app, channel))

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
            gone = []
            for name, answer in zip(names, self._reader.peek(app, names), strict=True):
                if answer is None:
                    gone.append(name)
                else:
                    found.append(_info(app, name, answer))
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

    def mirror(self, listen: Listen | None = None) -> RedisMirror:
        """What keeps the history of this host equal for the channels that are followed, where `listen` does not."""
        self._mirror = RedisMirror(self.gateway, self._reader, lambda: RedisFeed(self._link, self._keys, listen))
        return self._mirror

    def presence(self) -> tuple[RedisLink, str]:
        """The link, and the pub/sub channel by which workers tell each other of presence."""
        return self._link, self._keys.presence

    def ready(self) -> list[str]:
        """See `Engine`."""
        trouble = self._link.trouble()
        if trouble and self._spool is not None:
            full = self._spool.trouble()
            trouble = f"{trouble} {full}" if full else ""
        return self._local.ready() + ([trouble] if trouble else [])

    def degraded(self) -> list[str]:
        """See `Engine`."""
        if self._spool is None or self._spool.trouble():
            return []
        trouble = self._link.trouble()
        return [f"{trouble} What is published waits here; only what is followed here can be read."] if trouble else []

    def spool(self) -> dict[str, int]:
        """Events and bytes that wait on this host; nothing when none ever do."""
        return {} if self._spool is None else self._spool.figures()

    def _is_copied(self, app: str, channel: str, query: Query) -> bool:
        """Whether all that is asked for is here too, because somebody here follows the channel."""
        if self._mirror is None or not self._mirror.is_equal(app, channel):
            return False
        here = self.gateway.replicated(app, channel)
        if not self.gateway.holds(app, channel):  # it had to make room for others
            return False
        if query.since is None:
            last = here.last_offset if query.until is None else min(query.until, here.last_offset)
            return here.first_offset <= max(1, last - query.limit + 1)
        same = query.epoch.lower() in ("", here.epoch)
        return same and here.first_offset - 1 <= query.since <= here.last_offset

    def close(self) -> None:
        """See `Engine`."""
        if self._forwarder is not None:
            self._forwarder.close()
        if self._spool is not None:
            self._spool.close()
        self._link.close()
        self._local.close()


def _check_position(limit: int, epoch: str) -> None:
    if not 1 <= limit <= MOST_LIMIT:
        raise InvalidParameter(f"limit is {limit}; allowed is 1 to {MOST_LIMIT}.")
    if epoch and (len(epoch) != 16 or any(digit not in "0123456789abcdefABCDEF" for digit in epoch)):
        raise InvalidParameter(f'epoch is "{epoch}"; allowed is 16 hex digits.')


def _info(app: str, channel: str, answer: Answer) -> ChannelInfo:
    newest = None
    if answer.newest_us:
        newest = (BEGINNING + timedelta(microseconds=answer.newest_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return ChannelInfo(app, channel, answer.epoch, answer.first, answer.last, newest)


_: Callable[..., Engine] = RedisEngine
