"""Adds to each event what only the server knows: `polyglot processor --function enrich:process` in this folder."""

from collections.abc import Sequence

from polyglot_gateway.processor.base import ACCEPT, Event, Verdict, replace


def process(events: Sequence[Event]) -> list[Verdict]:
    """Put `words` beside the text of each message."""
    return [enrich(event) for event in events]


def enrich(event: Event) -> Verdict:
    """The verdict on one event."""
    data = event.json()
    if event.type != "message" or not isinstance(data, dict) or not isinstance(data.get("text"), str):
        return ACCEPT
    return replace({**data, "words": len(data["text"].split())})
