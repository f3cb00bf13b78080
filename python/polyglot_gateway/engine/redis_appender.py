"""Appends to Redis: all that is in flight in this process travels together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from redis.exceptions import ResponseError

from polyglot_gateway import _core
from polyglot_gateway.calls import Observe
from polyglot_gateway.engine.base import Place
from polyglot_gateway.engine.redis_keys import RedisKeys
from polyglot_gateway.engine.redis_link import LIBRARY, Command, Lent, RedisLink, refused
from polyglot_gateway.engine.redis_nodes import ANSWER_SECONDS, CONNECT_SECONDS
from polyglot_gateway.engine.redis_wire import NotServing, answers_in
from polyglot_gateway.errors import EngineDown, EngineUnavailable

if TYPE_CHECKING:
    from polyglot_gateway.engine.redis_spool import Spool
    from polyglot_gateway.engine.spool_file import Record

LISTED_SECONDS = 600.0
"""So long a channel is taken to be in its app's list without being put there again."""


class _Job:
    """Submissions on their way."""

    __slots__ = ("done", "error", "place", "submissions")

    def __init__(self, submissions: Sequence[_core.Submission], place: Place | None) -> None:
        self.submissions = submissions
        self.place = place
        self.done = False
        self.error: EngineUnavailable | None = None


class RedisAppender:
    """Sends submissions, those of all threads together: while one is under way, the others gather. Thread safe.

    Attributes:
        layout: How the events are kept.
    """

    def __init__(
        self,
        link: RedisLink,
        keys: RedisKeys,
        gateway: _core.Gateway,
        layout: _core.RedisLayout,
        spool: Spool | None = None,
        observe: Observe | None = None,
    ) -> None:
        """Use the link; the rules of `gateway` say what is kept of a channel.

        With a spool, events wait there while Redis does not answer. `observe` watches what is sent, and so that it sees
        all of it, the server's thread is lent nothing.
        """
        self._observe = observe
        self._ask = self._send_calls if observe is None else self._send_observed
        self._spool = spool
        self._link = link
        self._keys = keys
        self._gateway = gateway
        self.layout = layout
        self._gathering = threading.Lock()
        self._sending = threading.Lock()
        self._jobs: list[_Job] = []
        self._listed: dict[tuple[str, str], float] = {}
        self._lent: Lent | None = None
        self._revoke: Callable[[], None] = lambda: None

    def append(self, submissions: Sequence[_core.Submission], place: Place | None = None) -> None:
        """Append what is submitted, in this order, and write into it what became of each event.

        Args:
            submissions: From the gateway.
            place: Of their event, when they have only one.

        Raises:
            EngineDown: There is no spool, and Redis does not answer. It may have kept the events or not; whoever sends
                them again with the same idempotency key gets them kept once.
            EngineUnavailable: They were not sent.
        """
        if self._spool is None:
            self._link.check()
        job = _Job(submissions, place)
        with self._gathering:
            self._jobs.append(job)
        if self._sending.acquire(timeout=2 * (CONNECT_SECONDS + ANSWER_SECONDS)):
            try:
                if not job.done:
                    with self._gathering:
                        jobs, self._jobs = self._jobs, []
                    self._send(jobs)
            finally:
                self._sending.release()
        elif not job.done:
            with self._gathering:
                waits = job in self._jobs
                if waits:
                    self._jobs.remove(job)
            if waits:
                raise EngineUnavailable("Redis is too slow: what was sent to it before is not answered yet.")
            if not job.done:
                raise EngineDown("Redis is too slow: what was sent to it is not answered yet.")
        if job.error:
            raise job.error

    def send(self, calls: _core.AppendCalls) -> dict[Place, EngineDown]:
        """Send the calls together, and write into their submissions what became of each event.

        With a spool, those of which that is not known, or which were not sent, wait there.

        Returns:
            The channels of a cluster that was not all there: of their events it is not known.

        Raises:
            EngineDown: As append; of no event it is known what became of it.
            EngineUnavailable: They were not sent.
        """
        spool = self._spool
        if spool is None:
            return dict(self._send_now(calls).values())
        try:
            self._send_or_spool(spool, calls)
        finally:
            # Before these are acknowledged, so that what comes then does not go to Redis before them.
            if self._is_behind():
                self._revoke()
        return {}

    def lend(self, revoke: Callable[[], None]) -> int | None:
        """The descriptor of a connection by which the server's thread may append; None where there can be none.

        The one before has been taken back.

        Args:
            revoke: Called when the thread may send nothing more by it, from whatever thread; it does not wait.

        Raises:
            EngineDown: Redis does not answer.
        """
        self._revoke = revoke
        self._lent = self._link.lend() if self._observe is None else None
        if self._is_behind():  # also since that connection was asked for
            self.take_back()
        return None if self._lent is None else self._lent.wire.fileno()

    def take_back(self) -> None:
        """The server's thread does not use the connection any more. Idempotent."""
        if self._lent is not None:
            self._lent.node.drop(self._lent.wire)
            self._lent = None

    def listed(self, channels: Iterable[Place]) -> list[tuple[str, str, float]]:
        """Those that are in the lists of their apps, and for how many seconds that is certain."""
        now = time.monotonic()
        until = {place: self._listed.get(place, 0) + LISTED_SECONDS for place in channels}
        return [(*place, end - now) for place, end in until.items() if end > now and place in self._listed]

    def forward(self, records: Sequence[Record]) -> list[tuple[int, str, str]]:
        """Append what waited; each is kept once, however often this is tried within five minutes.

        Returns:
            Of each that was refused, or of which it is not known, its place, the code and the message.

        Raises:
            EngineDown: Of none it is known.
            EngineUnavailable: They were not sent.
        """
        submission = self._gateway.restore([record.restored() for record in records])
        self._send_now(_core.AppendCalls(self._gateway, self.layout, [submission]))
        return submission.refusals()

    def _is_behind(self) -> bool:
        """Whether events wait in the spool, so that none may go to Redis before them."""
        return self._spool is not None and self._spool.file.events > 0

    def _send_or_spool(self, spool: Spool, calls: _core.AppendCalls) -> None:
        if calls.sent() is None:
            if spool.take_behind(calls):
                return
            try:
                self._link.check()
            except EngineDown as error:
                spool.take(calls, range(len(calls.channels())), error, unknown=False)
                return
        try:
            unknown = self._send_now(calls)
        except EngineDown as error:
            spool.take(calls, range(len(calls.channels())), error, unknown=True)
        else:
            for _, why in list(unknown.values())[:1]:
                spool.take(calls, unknown, why, unknown=True)

    def _send_now(self, calls: _core.AppendCalls) -> dict[int, tuple[Place, EngineDown]]:
        """As send without a spool; returns the numbers of calls, with their channels."""
        channels = calls.channels()
        unlisted = self._unlisted(channels)
        began = time.monotonic()
        answers = self._ask(calls)
        self._gateway.count_time("append", time.monotonic() - began)
        unknown: dict[int, tuple[Place, EngineDown]] = {}
        for place, answer in enumerate(answers):
            if isinstance(answer, ResponseError):
                error = refused(answer)
                calls.refuse(place, error.code, error.message)
                if isinstance(error, EngineDown):
                    unknown[place] = channels[place], error
            else:
                calls.settle(place, answer)
        if any(isinstance(answer, NotServing) for answer in answers):
            self._revoke()  # the thread would go on asking a Redis in whose place another may be
        self._list(unlisted | self._born(channels, answers))
        return unknown

    def _send_calls(self, calls: _core.AppendCalls) -> list[Any]:
        return self._link.send_packed(calls.commands(), self._answered(calls))

    def _send_observed(self, calls: _core.AppendCalls) -> list[Any]:
        assert self._observe is not None
        facts: dict[str, str | int] = {"events": len(calls), "db.system.name": "redis", "db.operation.name": "FCALL"}
        with self._observe(f"FCALL {LIBRARY}_append", facts, calls.traceparents()) as call:
            answers = self._send_calls(calls)
            for error in [answer for answer in answers if isinstance(answer, ResponseError)][:1]:
                call.failed(refused(error).code, refused(error).message)
            return answers

    def _answered(self, calls: _core.AppendCalls) -> list[Any]:
        """What the server's thread was answered before it left the calls to us."""
        sent = calls.sent()
        if sent is None:
            return []
        received, trouble = sent
        if trouble:
            lent, self._lent = self._lent, None
            if lent is None:
                raise EngineDown(f"Redis does not answer: {trouble}.")
            lent.node.drop(lent.wire)
            raise lent.node.failed(ConnectionError(trouble))
        return answers_in(received)

    def _send(self, jobs: list[_Job]) -> None:
        try:
            submissions = [submission for job in jobs for submission in job.submissions]
            unknown = self.send(_core.AppendCalls(self._gateway, self.layout, submissions))
            for job in jobs:
                job.error = unknown.get(job.place) if job.place else None
        except BaseException as error:
            # Nobody may take this for an acknowledgement.
            said = error if isinstance(error, EngineUnavailable) else EngineDown("Appending to Redis failed.")
            for job in jobs:
                job.error = said
            if said is not error:
                raise
        finally:
            for job in jobs:
                job.done = True

    def _unlisted(self, channels: list[Place]) -> set[Place]:
        """Channels that may not be in the lists of their apps."""
        oldest = time.monotonic() - LISTED_SECONDS
        return {place for place in channels if self._listed.get(place, oldest) <= oldest}

    @staticmethod
    def _born(channels: list[Place], answers: list[Any]) -> set[Place]:
        """Those that begin anew may have lost their places in the lists as they lost their past."""
        return {
            place
            for place, answer in zip(channels, answers, strict=True)
            if not isinstance(answer, ResponseError) and 1 in answer
        }

    def _list(self, places: set[Place]) -> None:
        """Put the channels into the lists of their apps; where that fails, a later event will do it."""
        if not places:
            return
        commands: list[Command] = []
        for app, channel in places:
            key = self._keys.channels(app)
            # A list outlives what is in it.
            milliseconds = 2 * self.layout.lifetime_ms(self._gateway, app, channel) + int(2000 * LISTED_SECONDS)
            commands += [("ZADD", key, 0, channel), ("PEXPIRE", key, milliseconds, "GT")]
            commands.append(("PEXPIRE", key, milliseconds, "NX"))
        with suppress(EngineUnavailable):
            answers = self._link.send(commands)
            if len(self._listed) >= 100_000:
                self._listed.clear()
            now = time.monotonic()
            for number, place in enumerate(places):
                if not isinstance(answers[3 * number], ResponseError):
                    self._listed[place] = now
