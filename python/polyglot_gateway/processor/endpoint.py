"""What the clients of the processor tier have in common: an endpoint, batches of a size that it takes, and answers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, Protocol, cast, get_args

from polyglot_gateway._core import check_json
from polyglot_gateway.errors import InvalidJson, ProcessorUnavailable
from polyglot_gateway.processor.base import ACCEPT, MOST_EVENTS, Event, Verdict

BATCH_BYTES = 3 << 20
"""Of the events in one batch; the message is then below the 4 MiB that gRPC services take unless told otherwise."""

Kind = Literal["accept", "replace", "reject"]
_KINDS = get_args(Kind)
_AROUND_AN_EVENT = 128  # bytes, at most, that a message has around the values of an event


class Unreached(ProcessorUnavailable):
    """The batch has certainly not reached the processor, so another endpoint may get it."""


class Busy(Unreached):
    """It has not reached it because the endpoint has enough to do, which is no failure of the endpoint's."""


class Endpoint(Protocol):
    """One address of the processor tier. Thread safe; used by the process that made it."""

    name: str
    """As messages have it: without what is secret in a URL."""
    protocol: Literal["http", "grpc"]

    def ask(self, events: Sequence[Event], seconds: float) -> list[Verdict]:
        """Send one batch and return one verdict for each event, in order.

        Args:
            events: One of those that `batches` makes.
            seconds: Time for all of it, above 0. At most half of it goes into reaching the endpoint.

        Raises:
            Busy, Unreached: The batch has certainly not reached the processor.
            ProcessorUnavailable: There is no good answer; the batch may have been processed.
        """

    def close(self) -> None:
        """Let go of its connections. Idempotent."""


class Answer(NamedTuple):
    """What an endpoint says of one event, unchecked."""

    id: str
    kind: str
    data: bytes
    """Empty for none."""
    reason: str
    """Empty for none."""


def batches(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    """Cut into batches of at most `MOST_EVENTS` and `BATCH_BYTES`, in order; an event that is larger goes alone."""
    begin, size = 0, 0
    for end, event in enumerate(events):
        more = sum(map(len, event)) + _AROUND_AN_EVENT
        if end > begin and (end - begin == MOST_EVENTS or size + more > BATCH_BYTES):
            yield events[begin:end]
            begin, size = end, 0
        size += more
    if events:
        yield events[begin:]


def verdicts_of(name: str, events: Sequence[Event], answers: Iterable[Answer]) -> list[Verdict]:
    """Check that there is one good verdict for each event, in order, and return them.

    Args:
        name: Of the endpoint, for the message.
        events: What was asked.
        answers: What was answered.

    Raises:
        ProcessorUnavailable: There is not.
    """
    answers = list(answers)
    if len(answers) != len(events):
        raise ProcessorUnavailable(
            f"The processor at {name} answered {len(answers)} verdicts for {len(events)} events."
        )
    verdicts = []
    for number, (event, answer) in enumerate(zip(events, answers, strict=True)):
        if trouble := _trouble_with(event, answer):
            raise ProcessorUnavailable(f"The processor at {name} answered {trouble} (verdict {number}, from 0).")
        is_plain = answer.kind == "accept"
        verdicts.append(ACCEPT if is_plain else Verdict(cast(Kind, answer.kind), answer.data, answer.reason))
    return verdicts


def _trouble_with(event: Event, answer: Answer) -> str:
    if answer.id != event.id:
        return "a verdict on another event than the one in its place"
    if answer.kind not in _KINDS:
        return "a verdict that is none of accept, replace and reject"
    if answer.kind == "replace" and not _is_json(answer.data):
        return "replace without data that is JSON"
    if answer.kind != "replace" and answer.data:
        return f"{answer.kind} with data, which only replace has"
    if answer.kind != "reject" and answer.reason:
        return f"{answer.kind} with a reason, which only reject has"
    return ""


def _is_json(data: bytes) -> bool:
    try:
        check_json(data)
    except InvalidJson:
        return False
    return True


def late(name: str, seconds: float) -> str:
    """Say that the time was over before there was an answer."""
    return f"The processor at {name} did not answer within {math.ceil(seconds * 1000)} ms."
