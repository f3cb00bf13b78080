"""Events and verdicts as JSON, which is how they go over HTTP.

```
event    {"id":…,"app_id":…,"channel":…,"type":…,"data":…,"meta":{"user_id":…,"ts":…,"source_ip":…,"traceparent":…}}
events   {"events":[…]}
verdict  {"id":…,"verdict":"accept"|"replace"|"reject","data":…,"reason":…}
verdicts {"verdicts":[…]}
```

`data` is never converted: the bytes between the commas are those of Event.data and Verdict.data. Members that are not
listed are ignored; `meta`, its members, `reason` and what a verdict's kind does not have may be missing or null.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar

import msgspec

from polyglot_gateway._core import check_json
from polyglot_gateway.errors import InvalidEvent, InvalidJson
from polyglot_gateway.processor.base import ACCEPT, Event, Verdict


class _Meta(msgspec.Struct, omit_defaults=True):
    user_id: str | None = None
    ts: str | None = None
    source_ip: str | None = None
    traceparent: str | None = None


class _Event(msgspec.Struct):
    id: str
    app_id: str
    channel: str
    type: str
    data: msgspec.Raw
    meta: _Meta | None = None


class _Events(msgspec.Struct):
    events: list[_Event]


class _Verdict(msgspec.Struct, omit_defaults=True):
    id: str
    verdict: Literal["accept", "replace", "reject"]
    data: msgspec.Raw = msgspec.Raw()
    reason: str | None = None


class _Verdicts(msgspec.Struct):
    verdicts: list[_Verdict]


_NO_META = _Meta()
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_event = msgspec.json.Decoder(_Event)
_events = msgspec.json.Decoder(_Events)
_verdicts = msgspec.json.Decoder(_Verdicts)

_T = TypeVar("_T")


def read_event(body: bytes) -> Event:
    """Read one event.

    Raises:
        InvalidJson: The body is not JSON.
        InvalidEvent: It is no event.
    """
    return _event_of(_read(_event, body))


def read_events(body: bytes) -> list[Event]:
    """Read a batch.

    Raises:
        InvalidJson: The body is not JSON.
        InvalidEvent: It is no batch, or one of its events is none.
    """
    return list(map(_event_of, _read(_events, body).events))


def write_events(events: Sequence[Event]) -> bytes:
    """Write a batch."""
    return msgspec.json.encode(
        _Events(
            [
                _Event(
                    id, app, channel, type, msgspec.Raw(data), _Meta(user_id, timestamp, source_ip, traceparent or None)
                )
                for id, app, channel, type, data, timestamp, user_id, source_ip, traceparent in events
            ]
        )
    )


def read_verdicts(body: bytes) -> tuple[list[str], list[Verdict]]:
    """Read the ids of events, and the verdicts on them.

    Raises:
        ValueError: The body is something else.
    """
    try:
        found = _decode(_verdicts, body).verdicts
    except _NOT_JSON as error:
        raise ValueError("no verdicts") from error
    return [verdict.id for verdict in found], list(map(_verdict_of, found))


def write_verdict(event: Event, verdict: Verdict) -> bytes:
    """Write the verdict on an event."""
    return msgspec.json.encode(_on(event, verdict))


def write_verdicts(events: Sequence[Event], verdicts: Sequence[Verdict]) -> bytes:
    """Write the verdicts on a batch."""
    return msgspec.json.encode(_Verdicts(list(map(_on, events, verdicts))))


def _read(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    try:
        return _decode(decoder, body)
    except msgspec.ValidationError as error:
        raise InvalidEvent(f"{error}.") from error
    except _NOT_JSON as error:
        check_json(body)  # knows the place, and says it as the gateway does
        raise InvalidJson(f"{error}.") from error


def _decode(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    body.decode()  # msgspec does not look at the text of members that it ignores
    return decoder.decode(body)


def _event_of(found: _Event) -> Event:
    meta = found.meta or _NO_META
    return Event(
        found.id,
        found.app_id,
        found.channel,
        found.type,
        bytes(found.data),
        meta.ts or "",
        meta.user_id or "",
        meta.source_ip or "",
        meta.traceparent or "",
    )


def _verdict_of(found: _Verdict) -> Verdict:
    if found.verdict == "accept":
        return ACCEPT
    if found.verdict == "replace":
        return Verdict("replace", bytes(found.data))
    return Verdict("reject", reason=found.reason or "")


def _on(event: Event, verdict: Verdict) -> _Verdict:
    if verdict.kind == "replace":
        return _Verdict(event.id, "replace", msgspec.Raw(verdict.data))
    if verdict.kind == "reject":
        return _Verdict(event.id, "reject", reason=verdict.reason)
    return _Verdict(event.id, "accept")
