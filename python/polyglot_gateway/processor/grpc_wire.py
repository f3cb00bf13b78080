"""Events and verdicts as the messages of proto/processor.proto. Needs the extra `grpc`."""

from __future__ import annotations

from polyglot_gateway.processor.base import Event, Verdict
from polyglot_gateway.processor.endpoint import Answer
from polyglot_gateway.processor.proto import processor_pb2

_KINDS = {
    "accept": processor_pb2.Verdict.ACCEPT,
    "replace": processor_pb2.Verdict.REPLACE,
    "reject": processor_pb2.Verdict.REJECT,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def event_of(message: processor_pb2.Event) -> Event:
    """The event in a message."""
    return Event(
        message.id,
        message.app_id,
        message.channel,
        message.type,
        message.data,
        message.ts,
        message.user_id,
        message.source_ip,
    )


def verdict_message(event: Event, verdict: Verdict) -> processor_pb2.Verdict:
    """The verdict on an event as a message."""
    return processor_pb2.Verdict(
        id=event.id,
        kind=_KINDS[verdict.kind],
        data=verdict.data if verdict.kind == "replace" else b"",
        reason=verdict.reason if verdict.kind == "reject" else "",
    )


def event_message(event: Event) -> processor_pb2.Event:
    """The event as a message."""
    return processor_pb2.Event(
        id=event.id,
        app_id=event.app,
        channel=event.channel,
        type=event.type,
        data=event.data,
        ts=event.timestamp,
        user_id=event.user_id,
        source_ip=event.source_ip,
    )


def answer_of(message: processor_pb2.Verdict) -> Answer:
    """What a message says of an event; an empty kind when it is none that is known."""
    return Answer(message.id, _NAMES.get(message.kind, ""), message.data, message.reason)
