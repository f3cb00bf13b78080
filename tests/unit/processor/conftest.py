"""Events and functions to process them."""

from collections.abc import Callable, Sequence

import pytest

from polyglot_gateway.processor.base import ACCEPT, Event, Function, Verdict, reject, replace
from polyglot_gateway.processor.meters import Meters
from polyglot_gateway.processor.rollups import Rollups
from polyglot_gateway.processor.service import Service


def by_data(events: Sequence[Event]) -> list[Verdict]:
    """What the data of each event asks for."""

    def verdict(event: Event) -> Verdict:
        if event.data == b'"reject"':
            return reject("because of “it”")
        return replace(b'{"n":1.10}') if event.data == b'"replace"' else ACCEPT

    if any(event.data == b'"raise"' for event in events):
        raise KeyError("the function's own")
    return [verdict(event) for event in events]


@pytest.fixture
def event() -> Callable[..., Event]:
    """Makes an event with this data; its id is `evt_` and a number if one is given."""

    def make(data: bytes = b"1", number: int = 1, channel: str = "room:1") -> Event:
        timestamp = "2025-11-17T18:39:56.107549Z"
        return Event(f"evt_{number}", "demo", channel, "message", data, timestamp, "user-1", "::1")

    return make


@pytest.fixture
def make_service() -> Callable[[Function], Service]:
    """A service with a function, and with meters and rollups of its own."""
    return lambda function: Service(function, Meters(), Rollups())


@pytest.fixture
def service(make_service: Callable[[Function], Service]) -> Service:
    """Does what the data of an event asks for: "accept", "replace", "reject" or "raise"."""
    return make_service(by_data)
