"""The embedded engine: the C++ core over one mapped history file."""

from __future__ import annotations

from collections.abc import Sequence

from polyglot_gateway import _core
from polyglot_gateway.engine.base import Engine
from polyglot_gateway.errors import GatewayError


class EmbeddedEngine:
    """Fulfils `Engine` by the native methods themselves, so a call costs no Python frame.

    Besides the contract it decides who may do what and how much (`configure`, `authorize`, `max_event_bytes`,
    `rate_limit`, `limits`) and keeps the counters that all workers share. Open it after the fork: it is of use only to
    the process that made it.
    """

    def __init__(
        self,
        data_dir: str,
        *,
        history_size: int = 1000,
        history_bytes: int = 134_217_728,
        max_channels: int = 10_000,
        idempotency_keys: int = 65_536,
        durability: str = "process",
    ) -> None:
        """Open or create the history in `data_dir`.

        Args:
            data_dir: Folder of the history file; made when it is missing.
            history_size: Most events kept per channel.
            history_bytes: Size of the log that all channels share.
            max_channels: Channels kept at a time.
            idempotency_keys: Keys remembered for five minutes.
            durability: process, interval or sync.

        Raises:
            StorageError: The folder cannot be used.
        """
        self.gateway = gateway = _core.Gateway(
            data_dir,
            history_size=history_size,
            history_bytes=history_bytes,
            max_channels=max_channels,
            idempotency_keys=idempotency_keys,
            durability=durability,
        )
        self.publish = gateway.publish
        self.publish_batch = gateway.publish_batch
        self.broadcast = gateway.broadcast
        self.history = gateway.history
        self.read = gateway.read
        self.columns = gateway.columns
        self.forget = gateway.forget
        self.channel = gateway.channel
        self.channels = gateway.channels
        self.follow = gateway.follow
        self.close = gateway.close
        self.configure = gateway.configure
        self.authorize = gateway.authorize
        self.max_event_bytes = gateway.max_event_bytes
        self.rate_limit = gateway.rate_limit
        self.limits = gateway.limits
        self.count_refused = gateway.count_refused
        self.counters = gateway.counters
        self.apps = gateway.apps
        self.gauges = gateway.gauges
        self.latencies = gateway.latencies
        self.segment = gateway.segment
        self.notices = gateway.notices

    def append(self, submissions: Sequence[_core.Submission]) -> None:
        """Append what was checked before, in this order, and write into it what became of each event.

        Raises:
            StorageError: The disk refuses; the events may have been kept or not.
        """
        for submission in submissions:
            self.gateway.append(submission)

    def ready(self) -> list[str]:
        """Why the engine cannot serve, one sentence each; empty when it can."""
        try:
            self.gateway.segment()
        except GatewayError as error:
            return [error.message]
        return []

    def degraded(self) -> list[str]:
        """See `Engine`: it can do all or nothing."""
        return []

    def spool(self) -> dict[str, int]:
        """What waits for what keeps the events: nothing does."""
        return {}


_: type[Engine] = EmbeddedEngine
