"""The function under test: the type of an event says what becomes of it."""

import time
from collections.abc import Sequence
from pathlib import Path

from polyglot_gateway.processor.base import ACCEPT, Event, Verdict, reject, replace


def note_and_wait(event: Event) -> Verdict:
    """Say that it was called, in the folder in which it runs, and take a while."""
    with Path("noted.txt").open("a") as file:
        file.write(f"{event.id}\n")
    return wait(event)


def wait(event: Event) -> Verdict:
    time.sleep(event.json())
    return ACCEPT


KINDS = {
    "accept": lambda event: ACCEPT,
    "echo": lambda event: replace(event.data),
    "tell": lambda event: replace(list(event[:4]) + list(event[5:])),
    "reject": lambda event: reject(event.json()),
    "larger": lambda event: replace(b'"%s"' % (b"x" * event.json())),
    "raise": lambda event: 1 / 0,
    "broken": lambda event: replace(b"{"),
    "none": lambda event: None,
    "wait": wait,
    "note": note_and_wait,
}


def obey(events: Sequence[Event]) -> list[Verdict]:
    verdicts = [KINDS[event.type](event) for event in events if event.type in KINDS]
    if any(event.type == "more" for event in events):
        verdicts += [ACCEPT, ACCEPT]
    return verdicts
