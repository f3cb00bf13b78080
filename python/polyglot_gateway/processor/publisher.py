"""Publishes events that a processor sees before they are kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from polyglot_gateway import _core
from polyglot_gateway.engine.base import Ack, Publisher
from polyglot_gateway.processor.base import Processor
from polyglot_gateway.processor.judging import judge


class AppendingEngine(Protocol):
    """What engines have besides their contract, for events that were checked before.

    Attributes:
        gateway: Checks them.
    """

    gateway: _core.Gateway

    def append(self, submission: _core.Submission) -> None:
        """Append the events, and write what became of each into the submission. Raises: EngineUnavailable."""


class ProcessingPublisher:
    """Fulfils `Publisher` (engine/base.py). Thread safe.

    While a call of the processor is under way, what comes from other threads gathers, and then goes together.
    """

    def __init__(self, engine: AppendingEngine, processor: Processor) -> None:
        """Have `engine` keep what `processor` accepts."""
        self._gateway = engine.gateway
        self._append = engine.append
        self._processor = processor
        self._gathering = threading.Lock()
        self._turn = threading.Lock()
        self._waiting: list[_core.Submission] = []

    def publish(
        self, app: str, channel: str, body: bytes, idempotency_key: str = "", source_ip: str = "", user_id: str = ""
    ) -> Ack:
        """See `Publisher`."""
        submission = self._gateway.prepare(app, channel, body, idempotency_key, source_ip, user_id)
        self._process_and_append(submission)
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
        """See `Publisher`."""
        submission = self._gateway.prepare_batch(app, body, ndjson, idempotency_key, source_ip, user_id)
        self._process_and_append(submission)
        return submission.results()

    def broadcast(
        self, app: str, body: bytes, idempotency_key: str = "", source_ip: str = "", user_id: str = ""
    ) -> bytes:
        """See `Publisher`."""
        submission = self._gateway.prepare_broadcast(app, body, idempotency_key, source_ip, user_id)
        self._process_and_append(submission)
        return submission.results()

    def _process_and_append(self, submission: _core.Submission) -> None:
        with self._gathering:
            self._waiting.append(submission)
        with self._turn:
            with self._gathering:
                together, self._waiting = self._waiting, []
            if together:  # else whoever had a turn meanwhile took ours along
                judge(self._processor, _core.ProcessCall(self._gateway, together))
        if len(submission):
            self._append(submission)


_: Callable[..., Publisher] = ProcessingPublisher
