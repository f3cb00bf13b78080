"""Events and verdicts as JSON, which is how they go over HTTP.

```
event    {"id":…,"app_id":…,"channel":…,"type":…,"data":…,"meta":{"user_id":…,"ts":…,"source_ip":…}}
events   {"events":[…]}
verdict  {"id":…,"verdict":"accept"|"replace"|"reject","data":…,"reason":…}
verdicts {"verdicts":[…]}
```

`data` is never converted: the bytes between the commas are those of Event.data and Verdict.data. Members that are not
listed are ignored; `meta`, its members and their values may be missing or null.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NoReturn

from polyglot_gateway.errors import InvalidEvent
from polyglot_gateway.processor.base import Event, Verdict
from polyglot_gateway.processor.json_cursor import JsonCursor
from polyglot_gateway.processor.text import is_text

_TEXTS = ("id", "app_id", "channel", "type")
_META = ("ts", "user_id", "source_ip")


def parse_event(body: bytes) -> Event:
    """Read one event.

    Raises:
        InvalidJson: The body is not JSON.
        InvalidEvent: It is no event.
    """
    cursor = JsonCursor(body)
    event = _event(cursor)
    cursor.end()
    return event


def parse_events(body: bytes) -> list[Event]:
    """Read a batch.

    Raises:
        InvalidJson: The body is not JSON.
        InvalidEvent: It is no batch, or one of its events is none.
    """
    cursor = JsonCursor(body)
    events: list[Event] | None = None
    if not cursor.next_is("{"):
        _refuse(cursor, 'A batch must be an object: {"events":[…]}.')
    for name in cursor.object():
        if name != "events":
            cursor.value()
        elif not cursor.next_is("["):
            _refuse(cursor, "The member events must be an array.")
        else:
            events = [_event(cursor, f"events[{number}]") for number, _ in enumerate(cursor.array())]
    cursor.end()
    if events is None:
        raise InvalidEvent("A batch needs the member events, an array.")
    return events


def write_verdict(event: Event, verdict: Verdict) -> bytes:
    """Write the verdict on an event."""
    members = {"id": event.id, "verdict": verdict.kind}
    if verdict.kind == "reject":
        members["reason"] = verdict.reason
    written = json.dumps(members, separators=(",", ":")).encode()
    return b'%s,"data":%s}' % (written[:-1], verdict.data) if verdict.kind == "replace" else written


def write_verdicts(events: Sequence[Event], verdicts: Sequence[Verdict]) -> bytes:
    """Write the verdicts on a batch."""
    return b'{"verdicts":[%s]}' % b",".join(map(write_verdict, events, verdicts))


def _refuse(cursor: JsonCursor, reason: str) -> NoReturn:
    cursor.value()  # for what is no JSON at all
    raise InvalidEvent(reason)


def _event(cursor: JsonCursor, what: str = "event") -> Event:
    if not cursor.next_is("{"):
        _refuse(cursor, f"{what} must be an object.")
    values: dict[str, Any] = {}
    data = b""
    for name in cursor.object():
        values[name], written = cursor.value()
        if name == "data":
            data = written
    for name in _TEXTS:
        if not is_text(values.get(name)):
            raise InvalidEvent(f"{what} needs the member {name}, a string.")
    if not data:
        raise InvalidEvent(f"{what} needs the member data, any JSON.")
    meta = values.get("meta")
    meta = {} if meta is None else meta
    if not isinstance(meta, dict):
        raise InvalidEvent(f"The member meta of {what} must be an object.")
    found = {name: meta.get(name) for name in _META}
    for name, value in found.items():
        if not (value is None or is_text(value)):
            raise InvalidEvent(f"The member meta.{name} of {what} must be a string or null.")
    timestamp, user_id, source_ip = (found[name] or "" for name in _META)
    return Event(values["id"], values["app_id"], values["channel"], values["type"], data, timestamp, user_id, source_ip)
