"""What the clients of the processor tier have in common: an endpoint, batches of a size that it takes, and answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, Protocol, TypeVar

from polyglot_gateway.errors import ProcessorUnavailable
from polyglot_gateway.processor.base import BATCH_BYTES, MOST_EVENTS, Event, Verdict

_BESIDE_DATA = 1024
"""Bytes of an event that are not counted: all but its data and user have 622 at most, and JSON puts 100 around them."""

NO_HEADERS: Mapping[str, str] = MappingProxyType({})

_Answer = TypeVar("_Answer")


class Unreached(ProcessorUnavailable):
    """The batch has certainly not reached the processor, so another endpoint may get it."""


class Busy(Unreached):
    """It has not reached it because the endpoint has enough to do, which is no failure of the endpoint's."""


class Endpoint(Protocol):
    """One address of the processor tier. Thread safe; used by the process that made it."""

    name: str
    """As messages have it: without what is secret in a URL."""
    protocol: Literal["http", "grpc"]

    def ask(self, events: Sequence[Event], seconds: float, headers: Mapping[str, str] = NO_HEADERS) -> list[Verdict]:
        """Send one batch and return one verdict for each event, in order.

        Args:
            events: One of those that `batches` makes.
            seconds: Time for all of it, above 0. At most half of it goes into reaching the endpoint.
            headers: Sent along, with names in small letters; over gRPC they are metadata.

        Raises:
            Busy, Unreached: The batch has certainly not reached the processor.
            ProcessorUnavailable: There is no good answer; the batch may have been processed.
        """

    def close(self) -> None:
        """Let go of its connections; whoever asks then gets Unreached. Idempotent."""


def batches(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    """Cut into batches of at most `MOST_EVENTS` and `BATCH_BYTES`, in order; an event that is larger goes alone."""
    begin, size = 0, 0
    for end, event in enumerate(events):
        more = len(event.data) + len(event.user_id) + _BESIDE_DATA
        if end > begin and (end - begin == MOST_EVENTS or size + more > BATCH_BYTES):
            yield events[begin:end]
            begin, size = end, 0
        size += more
    if events:
        yield events[begin:]


def verdicts_on(
    events: Sequence[Event], name: str, read: Callable[[_Answer], tuple[list[str], list[Verdict]]], answer: _Answer
) -> list[Verdict]:
    """Read an answer and check that it has one verdict for each event, in order.

    Args:
        events: What was asked.
        name: Of the endpoint, for the message.
        read: Gives the ids of events and the verdicts on them; ValueError for what is something else.
        answer: What was answered.

    Raises:
        ProcessorUnavailable: It has not. Never with what was answered: data of an event may be in it.
    """
    try:
        ids, verdicts = read(answer)
    except ValueError as error:
        raise ProcessorUnavailable(f"The processor at {name} answered something else than verdicts.") from error
    if ids != [event.id for event in events]:
        wrong = f"{len(ids)} verdicts on {len(events)} events"
        if len(ids) == len(events):
            wrong = "verdicts on other events, or in another order"
        raise ProcessorUnavailable(f"The processor at {name} answered {wrong}.")
    return verdicts


def closed(name: str) -> Unreached:
    """What an endpoint raises that was closed."""
    return Unreached(f"The processor at {name} is not asked any more.")


def late(name: str, seconds: float) -> str:
    """Say that the time was over before there was an answer."""
    return f"The processor at {name} did not answer within {math.ceil(seconds * 1000)} ms."
