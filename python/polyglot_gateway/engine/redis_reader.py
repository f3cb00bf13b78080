"""Reads channels from Redis: any part of one, as a reader or as the history of this host wants it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from secrets import randbits
from typing import Any, NamedTuple

from redis.exceptions import ResponseError

from polyglot_gateway import _core
from polyglot_gateway.engine.base import Columns, Gap, GapReason
from polyglot_gateway.engine.redis_keys import RedisKeys
from polyglot_gateway.engine.redis_link import LIBRARY, Command, RedisLink, refused

ALL = 2**53
"""More events than any channel has."""
COLUMNS_PAGE = 1000
COLUMNS_PAGE_BYTES = 1 << 20
"""Of what is asked for at a time to make columns of it; Redis serves nobody else meanwhile."""
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Query(NamedTuple):
    """What of a channel is asked for, as `Engine.history` has it."""

    since: int | None = None
    until: int | None = None
    epoch: str = ""
    limit: int = 0
    reverse: bool = False
    size: int = ALL
    """Only so many newest events count."""
    ttl: float = 0.0
    """Only events that are at most so many seconds old count; 0: all."""
    enough: int = ALL
    """After so many bytes of events there are no more."""


class Answer(NamedTuple):
    """Where a channel stands, and the part of it that was asked for."""

    epoch: str
    last: int
    newest_us: int
    """Time of the newest event; 0 when there is none."""
    first: int
    """Offset of the oldest event that counts; `last` + 1 when there is none."""
    gap: Gap | None
    events: bytes
    """As `Gateway.replicate` takes them, oldest first."""


def new_epoch() -> int:
    """A random number of 64 bits that is not 0."""
    return randbits(64) or 1


def _now() -> int:
    """In µs since 1970."""
    return (datetime.now(UTC) - BEGINNING) // timedelta(microseconds=1)


def last_of(replica: bytes) -> int:
    """The offset of a replica's last event; of the one before it when there is none."""
    _, first, count = replica[: replica.index(b"\n")].split()
    return int(first) + int(count) - 1


class RedisReader:
    """Asks the function `read`. Thread safe."""

    def __init__(self, link: RedisLink, keys: RedisKeys, gateway: _core.Gateway, layout: _core.RedisLayout) -> None:
        """Use the link; the rules of `gateway` say how long a channel is kept."""
        self._link = link
        self._keys = keys
        self._gateway = gateway
        self._layout = layout

    def read(self, app: str, channel: str, query: Query) -> tuple[Answer, list[tuple[int, bytes]]]:
        """The answer, and its events as (offset, envelope) in the order that was asked for.

        Raises:
            InvalidApp, InvalidChannel, EngineUnavailable.
        """
        (answer,) = self.read_all([(app, channel, query)])
        events = _core.replica_events(answer.events)
        return answer, events[::-1] if query.reverse else events

    def columns(self, app: str, channel: str, fields: Sequence[str], query: Query) -> Columns:
        """As `Engine.columns`, of what the query's `size` and `ttl` leave. Raises as read."""
        pages: list[bytes] = []
        query = query._replace(since=0, limit=COLUMNS_PAGE, enough=COLUMNS_PAGE_BYTES)
        while True:
            began = _now()
            (answer,) = self.read_all([(app, channel, query)])
            if not pages or answer.gap:
                # What was read so far is gone as well, if it was trimmed meanwhile, or its past was forgotten.
                pages.clear()
                first, read_at, not_before = answer, began, _now() - int(query.ttl * 1e6)
            pages.append(answer.events)
            reached = last_of(answer.events)
            if reached >= first.last or reached == query.since:
                break
            query = query._replace(since=reached, until=first.last, epoch=answer.epoch)
        return _core.replica_columns(
            app,
            channel,
            fields,
            pages,
            overwritten=first.gap is not None and first.gap.reason != "expired",
            not_before=not_before if query.ttl else 0,
            read_at=read_at,
        )

    def forget(self, app: str, channel: str) -> str:
        """End the channel's past; returns its new epoch. Raises as read."""
        self._check(app, channel)
        epoch = new_epoch()
        self._link.ask(*self._call("forget", app, channel, epoch, self._lifetime(app, channel)))
        return f"{epoch:016x}"

    def stand(self, app: str, channel: str) -> Answer:
        """Where the channel stands, by its rule. Raises as read."""
        return self.read(app, channel, self._standing(app, channel))[0]

    def peek(self, app: str, channels: Sequence[str]) -> list[Answer | None]:
        """Where these channels of an app stand; None for one that is not there. Raises as read."""
        commands = [self._command(app, channel, self._standing(app, channel)) for channel in channels]
        answers = self._link.send(commands) if commands else []
        return [
            self._parse(answer) or (self.stand(app, channel) if answer else None)
            for channel, answer in zip(channels, answers, strict=True)
        ]

    def _standing(self, app: str, channel: str) -> Query:
        rule = self._gateway.rule(app, channel)
        return Query(size=rule.history_size, ttl=rule.history_ttl)

    def read_all(self, queries: Sequence[tuple[str, str, Query]]) -> list[Answer]:
        """The answers to (app, channel, query). Raises as read."""
        for app, channel, _ in queries:
            self._check(app, channel)
        found: list[Answer | None] = [None] * len(queries)
        left = list(range(len(queries)))
        with self._link.turns:
            while left:
                answers = self._link.send([self._command(*queries[place]) for place in left])
                mend = []
                for place, answer in zip(left, answers, strict=True):
                    found[place] = self._parse(answer)
                    if found[place] is None:
                        mend.append(self._mend(*queries[place][:2], answer))
                left = [place for place in left if found[place] is None]
                for answer in self._link.send(mend) if mend else ():
                    if isinstance(answer, ResponseError):
                        raise refused(answer)
        return [answer for answer in found if answer]

    def _mend(self, app: str, channel: str, answer: Any) -> Command:
        if answer:
            # Another Redis, or a new life of it, may lack some of the epoch's events.
            return self._call("renew", app, channel, int(answer[0]), new_epoch())
        # Who stands in a channel before its first event is in an epoch too, and so the channel has to be.
        return self._call("begin", app, channel, new_epoch(), self._lifetime(app, channel))

    def _check(self, app: str, channel: str) -> None:
        self._link.check_open()
        _core.check_app(app)
        _core.check_channel(channel)

    def _lifetime(self, app: str, channel: str) -> int:
        return self._layout.lifetime_ms(self._gateway, app, channel)

    def _call(self, function: str, app: str, channel: str, *arguments: bytes | str | int) -> Command:
        return ("FCALL", f"{LIBRARY}_{function}", 1, self._keys.stream(app, channel), *arguments)

    def _command(self, app: str, channel: str, query: Query) -> Command:
        not_before = _now() - int(query.ttl * 1e6)
        return [
            "FCALL_RO", f"{LIBRARY}_read", 1, self._keys.stream(app, channel),
            "" if query.since is None else query.since, "" if query.until is None else query.until,
            str(int(query.epoch, 16)) if query.epoch else "", query.limit, int(query.reverse),
            min(query.size, self._layout.history_size), not_before if query.ttl else 0, query.enough,
        ]  # fmt: skip

    @staticmethod
    def _parse(answer: Any) -> Answer | None:
        if isinstance(answer, ResponseError):
            raise refused(answer)
        if len(answer) < 2:
            return None
        last, epoch, newest_us, first, reason, gap_from, gap_to, events = answer
        gap = None
        if reason:
            why: GapReason = reason.decode()
            gap = Gap(gap_from, gap_to, why)
        return Answer(f"{int(epoch):016x}", last, newest_us, first, gap, events)
