"""Reading Server-Sent Events, as the HTML standard's section 9.2.6 says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class ServerSentEvent(NamedTuple):
    """One event of a stream."""

    type: str
    data: str
    """Empty for a block that gives no more than a new position."""
    id: str
    """The last id seen on the stream so far, also when this event has none of its own; "" when there was none."""


def parse_events(lines: Iterable[bytes]) -> Iterator[ServerSentEvent]:
    """Yield the blocks of a stream, each as soon as its blank line was read; one that is cut off is dropped.

    Blocks without data are yielded too, unlike in browsers, because a new id in them is worth remembering.

    Args:
        lines: The stream's lines, each with its line end.
    """
    type_, last_id = "", ""
    data: list[str] = []
    for raw in lines:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if not line:
            yield ServerSentEvent(type_ or "message", "\n".join(data), last_id)
            type_, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            type_ = value
        elif field == "id" and "\0" not in value:
            last_id = value
