"""Events and verdicts as the messages of proto/processor.proto, on the side of the service. Needs the extra `grpc`.

The side of the gateway, which has to be fast, is in the core (core/process_messages.hpp).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from polyglot_gateway.processor.base import Event, Verdict
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
