"""Lets pass what may be said: `polyglot processor --function veto:process` in this folder."""

from collections.abc import Sequence

from polyglot_gateway.processor.base import ACCEPT, Event, Verdict, reject

FORBIDDEN = (b"password", b"secret")


def process(events: Sequence[Event]) -> list[Verdict]:
    """Reject each event that speaks of what nobody should tell."""
    return [veto(event) for event in events]


def veto(event: Event) -> Verdict:
    """The verdict on one event."""
    said = next((word for word in FORBIDDEN if word in event.data.lower()), None)
    return ACCEPT if said is None else reject(f"Nobody may say {said.decode()!r} here.")
