"""The processor contract: what every processor promises, in this process or in another.

**Batch in, verdicts out.** A processor gets events that were checked and have not been kept yet, at most `MOST_EVENTS`
at a time, and gives one verdict for each, in the order of the events. It accepts the event as it is, replaces its
`data`, or rejects it with a reason that is told to whoever published it. Of a batch each event is on its own. The
events of one channel come in the order in which they will be kept, those of one batch before those of the next, as far
as they come from one process and entered it by the same of its two ways, the native server or Falcon.

**Checked like what came in.** Data that replaces an event's is strict JSON and within the size that the channel allows,
or that event is refused, and no other. Whoever keeps the event checks it, so a processor need not; one that finds it to
be no JSON rejects the event and says so.

**Deadline.** `process` returns or raises within its time limit. A function that takes longer is not stopped, but nobody
listens any more.

**What is tried again.** A batch that did not reach the processor goes to another one, where there is another. One that
may have been processed is not sent again: the publisher is told that nothing was kept, and may send the same event
again. So a function may see an event that is never kept, and see it again with another id; who counts once counts by
something in the data.

**Failure.** Whatever goes wrong with a whole batch is `ProcessorUnavailable`: no answer, a late one, or one that is not
a verdict of a known kind for each event, by its id and in order. Then no event of the batch is kept.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from polyglot_gateway.processor.wire import ProcessWire

MOST_EVENTS = 1000
"""In one batch."""

MOST_BYTES = 64 << 20
"""Of a message between processes, either way; a longer one is refused by whoever gets it. MOST_EVENTS of the largest
size that rules have by default fit in."""

BATCH_BYTES = 4 << 20
"""Of a message that a gateway sends: what services over gRPC take unless told otherwise. No rule lets an event in that
is so large."""


class Event(NamedTuple):
    """An event on its way into the history."""

    id: str
    """`evt_` and a ULID; it is kept under this id."""
    app: str
    channel: str
    type: str
    data: bytes
    """JSON, as it was sent."""
    timestamp: str
    """When the gateway took it: RFC 3339, UTC, microseconds."""
    user_id: str = ""
    """Whose token it was published with; empty for none."""
    source_ip: str = ""
    traceparent: str = ""
    """Of the request that published it, as it was sent (W3C Trace Context); empty for none that is well formed."""

    def json(self) -> Any:
        """The data as Python has it."""
        return json.loads(self.data)


class Verdict(NamedTuple):
    """What becomes of an event. What its kind does not have counts for nothing."""

    kind: Literal["accept", "replace", "reject"]
    data: bytes = b""
    """JSON that takes the place of the event's data; of `replace` only."""
    reason: str = ""
    """Told to whoever published the event; of `reject` only."""


ACCEPT = Verdict("accept")


def replace(data: Any) -> Verdict:
    """Keep the event with this data instead: bytes are JSON, anything else is written as JSON."""
    if not isinstance(data, bytes):
        data = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    return Verdict("replace", data=data)


def reject(reason: str) -> Verdict:
    """Do not keep the event."""
    return Verdict("reject", reason=reason)


def verdict_counts(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """How many of each kind, as spans say it: accepted, replaced, rejected."""
    kinds = Counter(verdict.kind for verdict in verdicts)
    return {"accepted": kinds["accept"], "replaced": kinds["replace"], "rejected": kinds["reject"]}


Function = Callable[[Sequence[Event]], Sequence[Verdict]]
"""What users write: one verdict for each event, in order. It may be called by several threads and processes at once."""


UNBROKEN: dict[str, Any] = {"enabled": False, "processor": "embedded", "state": "closed"}
"""What `Processor.breaker` gives where everything is in this process, which needs no breaker."""


class Processor(Protocol):
    """Processes events. Thread safe; used by the process that made it, which may be one that gevent has patched."""

    @property
    def wire(self) -> ProcessWire | None:
        """By what the native server's thread asks it without Python; None where it cannot."""

    def process(self, events: Sequence[Event]) -> list[Verdict]:
        """Return one verdict for each event, in order.

        Raises:
            ProcessorUnavailable: There are none; the message names the processor tier and says why.
        """

    def ready(self) -> list[str]:
        """Why it cannot process now, one sentence each; empty when it can. Never waits."""

    def breaker(self) -> dict[str, Any]:
        """The state for GET /api/debug/circuit-breaker, as JSON has it; `enabled`, `processor` and `state` in it."""

    def close(self) -> None:
        """Let go of everything. Idempotent."""
