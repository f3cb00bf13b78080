"""The names of what the gateway keeps in Redis, all under one prefix."""

from __future__ import annotations


class RedisKeys:
    """Names of keys and channels.

    What belongs to one channel has the hash tag `{app:channel}` (redis.io, "Redis cluster specification"), so that it
    lies in one slot of a cluster.

    Attributes:
        presence: The sharded pub/sub channel by which workers tell each other of presence.
    """

    def __init__(self, prefix: str) -> None:
        """Names that begin with `prefix`."""
        self._prefix = prefix
        self.presence = f"{prefix}:presence"

    def stream(self, app: str, channel: str) -> str:
        """The events of a channel; and the shard channel on which it is said that there is news of them."""
        return f"{self._prefix}:{{{app}:{channel}}}"

    def channels(self, app: str) -> str:
        """The names of an app's channels, a sorted set."""
        return f"{self._prefix}:{{{app}}}:channels"
