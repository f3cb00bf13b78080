"""Publishes events that a processor sees before they are kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Protocol

from polyglot_gateway import _core
from polyglot_gateway.engine.preparing import PreparingPublisher
from polyglot_gateway.errors import EngineDown
from polyglot_gateway.processor.base import MOST_EVENTS, Processor
from polyglot_gateway.processor.judging import judge


class AppendingEngine(Protocol):
    """What engines have besides their contract, for events that were checked before.

    Attributes:
        gateway: Checks them.
    """

    gateway: _core.Gateway

    def append(self, submissions: Sequence[_core.Submission]) -> None:
        """Append the events in this order, and write what became of each into the submissions. Raises: GatewayError."""


class _Job:
    """A submission on its way.

    Attributes:
        error: What to say of it whole.
    """

    __slots__ = ("error", "submission")

    def __init__(self, submission: _core.Submission) -> None:
        self.submission = submission
        self.error: Exception | None = EngineDown("Publishing was broken off before its end.")


class ProcessingPublisher(PreparingPublisher):
    """Fulfils `Publisher` (engine/base.py). Thread safe.

    While a turn is under way, what comes from other threads gathers, and has the next one together: it is processed and
    kept in the order in which it came.
    """

    def __init__(self, engine: AppendingEngine, processor: Processor) -> None:
        """Have `engine` keep what `processor` accepts."""
        super().__init__(engine.gateway, self._process_and_append)
        self._gateway = engine.gateway
        self._append = engine.append
        self._processor = processor
        self._gathering = threading.Lock()
        self._turn = threading.Lock()
        self._waiting: list[_Job] = []

    def _process_and_append(self, submission: _core.Submission, _: object) -> None:
        job = _Job(submission)
        with self._gathering:
            self._waiting.append(job)
        with self._turn:
            with self._gathering:
                together, self._waiting = self._waiting, []
            # Nothing, when whoever had a turn meanwhile took ours along.
            for jobs in _batches(together):
                self._take_turn(jobs)
        if job.error is not None:
            raise job.error

    def _take_turn(self, jobs: list[_Job]) -> None:
        judge(self._processor.process, _core.ProcessCall(self._gateway, [job.submission for job in jobs]))
        accepted = [job for job in jobs if len(job.submission)]
        error: Exception | None = None
        try:
            if accepted:
                self._append([job.submission for job in accepted])
        except Exception as raised:
            error = raised
        for job in jobs:
            job.error = error if job in accepted else None


def _batches(jobs: list[_Job]) -> Iterator[list[_Job]]:
    """Cut into batches of no more events than a processor takes; one request never has more."""
    batch: list[_Job] = []
    events = 0
    for job in jobs:
        if events + len(job.submission) > MOST_EVENTS:
            yield batch
            batch, events = [], 0
        batch.append(job)
        events += len(job.submission)
    if batch:
        yield batch
