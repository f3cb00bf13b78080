"""The engine contract: what every engine promises, whatever keeps the events.

**Order.** Each channel has one total order, the same for every reader. An event's place in it is its `offset`: 1 for
the first event of an epoch, then one more for each, without holes.

**Epoch.** 16 hex digits that name one unbroken life of a channel. It changes exactly when the channel's past is gone or
can no longer be vouched for: the channel was forgotten, evicted or lost. A position is the pair (epoch, offset); an
offset under another epoch means nothing. A channel that has no events yet has an epoch too, with offset 0.

**Atomicity.** An event is appended whole, together with its offset, or not at all. Of a batch each event is on its own:
some may be acknowledged and others refused, and the answers stand in the order of the events.

**Acknowledgement.** When `publish` returns, the engine has the event: every later read by any process sees it, and it
survives what the engine's durability setting names. But for an acknowledgement that says `spooled`: the event waits on
this host, which sees to it that the engine gets it, once, and behind what this process had acknowledged before. When it
raises a `RequestError` nothing was kept. When it raises a `TemporaryError` nothing was kept either and the same request
may be sent again, but for `EngineDown`: what keeps the events was asked and did not answer. Whoever got that, or no
answer at all, does not know, and sends again with the same idempotency key.

**Idempotency.** Within five minutes, the same key in the same channel returns the first acknowledgement again, with
`replayed` set, from every process; with a different body it raises `IdempotencyMismatch`. When the engine cannot
remember one more key it raises `Overloaded` rather than forget one early. Batch and broadcast use the key once for each
of their events.

**Loss.** History is bounded. Reading from a position whose next event is gone returns what is left and says what is
missing in a `Gap`; so does reading under an old epoch or from beyond the end. A reader that follows `read` from
position to position therefore sees each event or a gap that covers it: at-least-once, and with offsets effectively
once.

**Failure.** Every error is a `polyglot_gateway.errors.GatewayError`. Nothing here blocks longer than its engine's
time-outs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:  # who reads no columns needs no NumPy
    import numpy as np
    from numpy.typing import NDArray

Place = tuple[str, str]
"""App and channel."""

GapReason = Literal["overwritten", "expired", "epoch_changed", "beyond_end"]
"""Why events are missing.

overwritten: newer events took their place; expired: older than the rule's history_ttl; epoch_changed: the position
belongs to a past that is gone; beyond_end: the position lies past the newest event, so it was not given by this
history.
"""


class Ack(NamedTuple):
    """The engine has the event.

    What it says of the event is read out of `body` when it is asked for: a server sends that as it is.
    """

    body: bytes
    """The HTTP reply: `{"id","timestamp","offset","epoch"}`, or `{"id","timestamp","spooled":true}`."""
    replayed: bool
    """True when the idempotency key had been used before: this is the first answer again."""
    spooled: bool
    """True when the event waits on this host for what keeps the events, which does not answer."""

    @property
    def id(self) -> str:
        """`evt_` and a ULID."""
        return str(self._said["id"])

    @property
    def timestamp(self) -> str:
        """When the gateway took it: RFC 3339, UTC, microseconds."""
        return str(self._said["timestamp"])

    @property
    def offset(self) -> int:
        """Its place in the channel; 0 when it is spooled."""
        return int(self._said.get("offset", 0))

    @property
    def epoch(self) -> str:
        """Of the channel, 16 hex digits; "" when it is spooled."""
        return str(self._said.get("epoch", ""))

    @property
    def _said(self) -> dict[str, Any]:
        said: dict[str, Any] = msgspec.json.decode(self.body)
        return said


class Gap(NamedTuple):
    """Events `from_offset` to `to_offset`, both included, will not come; both are offsets of the reader's own epoch.

    For epoch_changed and beyond_end how much is missing cannot be known: both are 0, and the reader starts anew.
    """

    from_offset: int
    to_offset: int
    reason: GapReason


class Page(NamedTuple):
    """Part of a channel's history, oldest first."""

    epoch: str
    """The epoch that all the events here belong to."""
    offset: int
    """The position to go on from: of the last event here, or where the reader stands when there is none."""
    events: list[tuple[int, bytes]]
    """(offset, envelope) pairs; the envelope is the stored JSON."""
    gap: Gap | None
    """What is missing before the first event, None when nothing is."""


class ChannelInfo(NamedTuple):
    """Where a channel stands."""

    app: str
    channel: str
    epoch: str
    first_offset: int
    """Of the oldest event that can be read; last_offset + 1 when there is none."""
    last_offset: int
    """Of the newest event; 0 when there has been none in this epoch."""
    last_published: str | None
    """Timestamp of the newest event; None when there has been none or it is gone."""


class Columns(NamedTuple):
    """The events of a channel, oldest first, as arrays of the same length. Times are in µs since 1970.

    The arrays are the caller's own.
    """

    app: str
    channel: str
    epoch: str
    begin: int
    """All events of the epoch from this time to `read_at` are here; 0: all there ever were."""
    read_at: int
    offsets: NDArray[np.int64]
    times: NDArray[np.int64]
    """They never fall."""
    sizes: NDArray[np.int64]
    """Bytes of the envelopes."""
    fields: dict[str, NDArray[np.float64]]
    """A number of each event's data by the field that was asked for; NaN where the event has none."""


class Feed(Protocol):
    """Tells which of the channels that are watched were appended to, by any process that shares the engine.

    It begins by watching none. Of others it may tell, too, but seldom does. Thread safe.
    """

    def fileno(self) -> int:
        """A descriptor that becomes readable when there may be news. Wait a second at most, then poll all the same."""

    def watch(self, app: str, channel: str) -> None:
        """Tell of the channel, until each call has had an `unwatch` of its own.

        Whoever calls this and then reads misses nothing: what comes after that reading is told, if only by saying that
        some was missed. Waits for what keeps the events, but not for one that does not answer.

        Raises: EngineUnavailable.
        """

    def unwatch(self, app: str, channel: str) -> None:
        """Take back one `watch`; does nothing when there is none."""

    def poll(self) -> tuple[list[tuple[str, str]], bool]:
        """The (app, channel) pairs with news, each once, and whether some were missed: then all may have news."""


class Publisher(Protocol):
    """Takes events. Thread safe."""

    def publish(
        self,
        app: str,
        channel: str,
        body: bytes,
        idempotency_key: str = "",
        source_ip: str = "",
        user_id: str = "",
        traceparent: str = "",
    ) -> Ack:
        """Check, serialise and append the event `{"type": str, "data": any}` in `body`.

        `traceparent` is for a processor, which may see the event before it is kept (processor/base.py).

        Raises: InvalidApp, InvalidChannel, InvalidJson, InvalidEvent, PayloadTooLarge, IdempotencyMismatch,
        InvalidParameter (an idempotency key longer than 255 bytes), Overloaded, EngineUnavailable.
        """

    def publish_batch(
        self,
        app: str,
        body: bytes,
        ndjson: bool = False,
        idempotency_key: str = "",
        source_ip: str = "",
        user_id: str = "",
        traceparent: str = "",
    ) -> bytes:
        """Append up to 1000 events: `{"events":[{"channel","type","data"},…]}`, or one such event a line when `ndjson`.

        Returns `{"results":[…]}` in the order of the events: `{"channel","id","timestamp","offset","epoch"}` or
        `{"channel","code","error","status"}`. Raises as publish does when the body as a whole is refused.
        """

    def broadcast(
        self,
        app: str,
        body: bytes,
        idempotency_key: str = "",
        source_ip: str = "",
        user_id: str = "",
        traceparent: str = "",
    ) -> bytes:
        """Append one event to each of up to 100 channels: `{"channels":[…],"type","data"}`; as publish_batch."""


class Engine(Publisher, Protocol):
    """Keeps events, gives them back, and says what is lost. Thread safe; used by the process that made it."""

    def history(
        self,
        app: str,
        channel: str,
        limit: int = 100,
        since: int | None = None,
        until: int | None = None,
        reverse: bool = False,
        epoch: str = "",
    ) -> bytes:
        """Events as the JSON reply `{"app_id","channel","count","events","epoch","offset","recovered","gap"}`.

        Without `since` the newest `limit` events, with it the first `limit` after it; `until` is the last offset
        wanted. Oldest first, or newest first when `reverse` (then the newest of the range). `epoch` is the one that
        `since` belongs to, "" for the present one. "offset" is the channel's newest; "recovered" is false exactly when
        "gap" is not null; "gap" is `{"from","to","reason"}`.

        Raises: InvalidApp, InvalidChannel, InvalidParameter (limit not in 1..1000, a malformed epoch),
        EngineUnavailable.
        """

    def read(self, app: str, channel: str, since: int | None = None, epoch: str = "", limit: int = 100) -> Page:
        """The same for a follower: up to `limit` events after the position, fewer when they are large.

        Without `since` no events: where the channel stands now. A page without events and without a gap is the end.
        """

    def columns(self, app: str, channel: str, fields: Sequence[str] = (), window: float = 0.0) -> Columns:
        """All events that `history` would give, or those of the last `window` seconds, in columns.

        Each of up to 16 fields is a JSON Pointer (RFC 6901) into the events' data: "/price", "/items/0/qty", "" for the
        data itself. Integers of any size become the nearest double; of members with the same name the last one counts.

        Raises: InvalidApp, InvalidChannel, InvalidParameter (a field that is no pointer, longer than 256 bytes or given
        twice; a window beyond 0 to a hundred years), EngineUnavailable.
        """

    def forget(self, app: str, channel: str) -> str:
        """Drop the channel's past; returns its new epoch. A channel that never was stays so, without error."""

    def channel(self, app: str, channel: str) -> ChannelInfo:
        """Where the channel stands; one that never was has last_offset 0."""

    def channels(self, app: str, after: str = "", limit: int = 100) -> list[ChannelInfo]:
        """The app's channels by name, those greater than `after`, at most `limit`."""

    def follow(self) -> Feed:
        """A feed that starts now; one per engine and process."""

    def ready(self) -> list[str]:
        """Why the engine cannot serve, one sentence each; empty when it can."""

    def degraded(self) -> list[str]:
        """What it cannot do at the moment, although it takes events, one sentence each."""

    def close(self) -> None:
        """Let go of everything; later calls raise EngineUnavailable. Idempotent."""
