"""What `polyglot processor` does with events, whatever protocol brings them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from polyglot_gateway._core import check_app, check_channel, check_json
from polyglot_gateway.calls import Headers, Serve
from polyglot_gateway.errors import InvalidEvent, InvalidJson, PayloadTooLarge
from polyglot_gateway.processor.base import ACCEPT, MOST_EVENTS, Event, Function, Verdict, verdict_counts
from polyglot_gateway.processor.embedded import EmbeddedProcessor
from polyglot_gateway.processor.meters import Meters
from polyglot_gateway.processor.rollups import Rollups

MOST_CALLS = 32
"""That a worker gives to the function at once, over each protocol; further ones wait."""


def accept_all(events: Sequence[Event]) -> list[Verdict]:
    """The function that runs when none is given."""
    return [ACCEPT] * len(events)


class Service:
    """One worker's. Thread safe.

    Attributes:
        meters: Of all workers.
        rollups: Of all workers.
        draining: Whether it is about to end.
    """

    def __init__(self, function: Function, meters: Meters, rollups: Rollups, serve: Serve | None = None) -> None:
        self._serve = serve
        self._processor = EmbeddedProcessor(function)
        self.meters = meters
        self.rollups = rollups
        self.draining = False

    def process(self, events: Sequence[Event], protocol: str, headers: Headers = dict) -> list[Verdict]:
        """Return one verdict for each event, in order.

        Args:
            events: As they came.
            protocol: Which of PROTOCOLS brought them.
            headers: Asked for what came with them, where somebody makes spans.

        Raises:
            RequestError: They are not what the contract says that a processor gets.
            ProcessorUnavailable: The function failed.
        """
        if self._serve is None:
            return self._process(events, protocol)
        facts: dict[str, str | int] = {"protocol": protocol, "events": len(events)}
        with self._serve("process batch", headers(), facts, [event.traceparent for event in events]) as call:
            verdicts = self._process(events, protocol)
            call.tell(**verdict_counts(verdicts))
            return verdicts

    def _process(self, events: Sequence[Event], protocol: str) -> list[Verdict]:
        _check(events)
        self.meters.called(protocol, len(events))
        begun = time.perf_counter()
        verdicts = self._processor.process(events)
        self.meters.answered(verdicts, time.perf_counter() - begun)
        self.rollups.add(events, verdicts)
        return verdicts


def _check(events: Sequence[Event]) -> None:
    if len(events) > MOST_EVENTS:
        raise PayloadTooLarge(f"The batch has {len(events)} events; at most {MOST_EVENTS} are taken.")
    for number, event in enumerate(events):
        if not event.id:
            raise InvalidEvent(f"Event {number} has an empty id.")
        check_app(event.app)
        check_channel(event.channel)
        try:
            check_json(event.data)
        except InvalidJson as error:
            raise InvalidJson(
                f"The data of event {number} is not strict JSON: {error.message}", error.position
            ) from None
