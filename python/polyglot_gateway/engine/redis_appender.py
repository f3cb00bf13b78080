"""Appends to Redis: all that is in flight in this process travels together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from secrets import randbits
from typing import Any

from redis.exceptions import ResponseError

from polyglot_gateway import _core
from polyglot_gateway.engine.redis_keys import RedisKeys
from polyglot_gateway.engine.redis_link import LIBRARY, Command, RedisLink, refused
from polyglot_gateway.engine.redis_nodes import ANSWER_SECONDS, CONNECT_SECONDS
from polyglot_gateway.errors import EngineDown, EngineUnavailable

MOST_EVENTS = 1000
"""In one call of the function, during which Redis does nothing else."""
LISTED_SECONDS = 600.0
"""So long a channel is taken to be in its app's list without being put there again."""
IDEMPOTENCY_MILLISECONDS = 5 * 60 * 1000


Bounds = Callable[[str, str], tuple[int, int]]
"""What is kept of an app's channel: most events, and for how many milliseconds after the last of them."""


def new_epoch() -> int:
    """A random number of 64 bits that is not 0."""
    return randbits(64) or 1


class _Job:
    """One submission on its way."""

    __slots__ = ("app", "appends", "done", "error", "submission")

    def __init__(self, app: str, submission: _core.Submission) -> None:
        self.app = app
        self.submission = submission
        self.appends = submission.appends()
        self.done = False
        self.error: EngineUnavailable | None = None


class _Call:
    """One call of the function `append`: events of one channel, and whose they are."""

    __slots__ = ("app", "channel", "events", "keys", "owners")

    def __init__(self, app: str, channel: str, stream: str) -> None:
        self.app = app
        self.channel = channel
        self.keys: list[str] = [stream]
        self.events: list[bytes | str | int] = []
        self.owners: list[tuple[_Job, int]] = []


class RedisAppender:
    """Sends submissions, those of all threads together: while one is under way, the others gather. Thread safe."""

    def __init__(self, link: RedisLink, keys: RedisKeys, bounds: Bounds) -> None:
        """Use the link; `bounds` says what is kept of a channel."""
        self._link = link
        self._keys = keys
        self._bounds = bounds
        self._gathering = threading.Lock()
        self._sending = threading.Lock()
        self._jobs: list[_Job] = []
        self._listed: dict[tuple[str, str], float] = {}

    def append(self, app: str, submission: _core.Submission) -> None:
        """Append what is submitted, and write into it what became of each event.

        Raises:
            EngineDown: Redis does not answer. It may have kept the events or not; whoever sends them again with the
                same idempotency key gets them kept once.
            EngineUnavailable: They were not sent.
        """
        self._link.check()
        job = _Job(app, submission)
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

    def _send(self, jobs: list[_Job]) -> None:
        try:
            calls = list(self._calls(jobs))
            answers = self._link.send([*self._listings(calls), *map(self._command, calls)])
            answers = answers[len(answers) - len(calls) :]
            for call, answer in zip(calls, answers, strict=True):
                self._settle(call, answer)
        except BaseException as error:
            # Nobody may take this for an acknowledgement.
            said = error if isinstance(error, EngineUnavailable) else EngineDown("Appending to Redis failed.")
            for job in jobs:
                job.error = said
            if said is error:
                return
            raise
        finally:
            for job in jobs:
                job.done = True
        with suppress(EngineUnavailable):  # they are kept, and on a list they will be with a later event
            self._list_new_lives(calls, answers)

    def _calls(self, jobs: list[_Job]) -> Iterator[_Call]:
        """One call for each channel, or several of MOST_EVENTS events; each channel's events in order."""
        open_calls: dict[tuple[str, str], _Call] = {}
        for job in jobs:
            for index, (channel, envelope, time_us, key, event) in enumerate(job.appends):
                call = open_calls.get((job.app, channel))
                if call is None or len(call.owners) == MOST_EVENTS:
                    if call is not None:
                        yield call
                    call = open_calls[job.app, channel] = _Call(job.app, channel, self._keys.stream(job.app, channel))
                place = 0
                if key:
                    call.keys.append(self._keys.idempotency(job.app, channel, key))
                    place = len(call.keys)
                call.events += (envelope, time_us, place, f"{event}:{time_us}" if key else "")
                call.owners.append((job, index))
        yield from open_calls.values()

    def _command(self, call: _Call) -> Command:
        size, milliseconds = self._bounds(call.app, call.channel)
        return [
            "FCALL", f"{LIBRARY}_append", len(call.keys), *call.keys, new_epoch(), size, milliseconds,
            IDEMPOTENCY_MILLISECONDS, *call.events,
        ]  # fmt: skip

    def _settle(self, call: _Call, answer: Any) -> None:
        if isinstance(answer, ResponseError):
            error = refused(answer)
            for job, index in call.owners:
                if isinstance(error, EngineDown) and len(job.appends) == 1:
                    job.error = error
                else:
                    job.submission.refused(index, error.code, error.message)
            return
        epoch = int(answer[0])
        for (job, index), outcome in zip(call.owners, answer[1:], strict=True):
            if isinstance(outcome, int):
                job.submission.kept(index, outcome, epoch)
            elif outcome:
                _, id_, time_us, position = outcome.decode().split(":")
                offset, _, first_epoch = position.partition("-")
                job.submission.replayed(index, int(offset), int(first_epoch), id_, int(time_us))
            else:
                job.submission.refused(
                    index,
                    "idempotency_mismatch",
                    "The Idempotency-Key was used before in this channel, with another body.",
                )

    def _listings(self, calls: list[_Call]) -> list[Command]:
        """Put the channels that may not be there into the lists of their apps."""
        now = time.monotonic()
        names = {(call.app, call.channel) for call in calls}
        return [
            command
            for app, channel in names
            if now - self._listed.get((app, channel), -LISTED_SECONDS) >= LISTED_SECONDS
            for command in self._listing(app, channel, now)
        ]

    def _listing(self, app: str, channel: str, now: float) -> list[Command]:
        if len(self._listed) >= 100_000:
            self._listed.clear()
        self._listed[app, channel] = now
        key = self._keys.channels(app)
        # A list outlives what is in it.
        milliseconds = 2 * self._bounds(app, channel)[1] + int(2000 * LISTED_SECONDS)
        return [("ZADD", key, 0, channel), ("PEXPIRE", key, milliseconds, "GT"), ("PEXPIRE", key, milliseconds, "NX")]

    def _list_new_lives(self, calls: list[_Call], answers: list[Any]) -> None:
        """A channel that begins anew may have lost its place in the list as it lost its past."""
        now = time.monotonic()
        born = [
            (call.app, call.channel)
            for call, answer in zip(calls, answers, strict=True)
            if not isinstance(answer, ResponseError) and 1 in answer[1:]
        ]
        if born:
            self._link.send([command for app, channel in born for command in self._listing(app, channel, now)])
