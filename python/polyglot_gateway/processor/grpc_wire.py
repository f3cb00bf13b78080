"""Events and verdicts as the messages of proto/processor.proto. Needs the extra `grpc`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from polyglot_gateway.processor.base import ACCEPT, Event, Verdict
from polyglot_gateway.processor.proto import processor_pb2

_ACCEPT = processor_pb2.Verdict.ACCEPT
_REPLACE = processor_pb2.Verdict.REPLACE
_REJECT = processor_pb2.Verdict.REJECT


def read_events(messages: Iterable[processor_pb2.Event]) -> list[Event]:
    """Read a batch."""
    return [
        Event(
            message.id,
            message.app_id,
            message.channel,
            message.type,
            message.data,
            message.ts,
            message.user_id,
            message.source_ip,
            message.traceparent,
        )
        for message in messages
    ]


def write_events(events: Sequence[Event]) -> processor_pb2.Events:
    """Write a batch."""
    batch = processor_pb2.Events()
    add = batch.events.add
    for id, app, channel, type, data, timestamp, user_id, source_ip, traceparent in events:
        add(
            id=id,
            app_id=app,
            channel=channel,
            type=type,
            data=data,
            ts=timestamp,
            user_id=user_id,
            source_ip=source_ip,
            traceparent=traceparent,
        )
    return batch


def read_verdicts(message: processor_pb2.Verdicts) -> tuple[list[str], list[Verdict]]:
    """Read the ids of events, and the verdicts on them.

    Raises:
        ValueError: One of them is of no kind that is known.
    """
    ids, verdicts = [], []
    for found in message.verdicts:
        ids.append(found.id)
        verdicts.append(_verdict_of(found))
    return ids, verdicts


def write_verdicts(events: Sequence[Event], verdicts: Sequence[Verdict]) -> processor_pb2.Verdicts:
    """Write the verdicts on a batch."""
    batch = processor_pb2.Verdicts()
    for event, verdict in zip(events, verdicts, strict=True):
        if verdict.kind == "replace":
            batch.verdicts.add(id=event.id, kind=_REPLACE, data=verdict.data)
        elif verdict.kind == "reject":
            batch.verdicts.add(id=event.id, kind=_REJECT, reason=verdict.reason)
        else:
            batch.verdicts.add(id=event.id, kind=_ACCEPT)
    return batch


def _verdict_of(found: processor_pb2.Verdict) -> Verdict:
    kind = found.kind
    if kind == _ACCEPT:
        return ACCEPT
    if kind == _REPLACE:
        return Verdict("replace", found.data)
    if kind == _REJECT:
        return Verdict("reject", reason=found.reason)
    raise ValueError("no verdict")
