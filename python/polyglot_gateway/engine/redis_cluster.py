"""The masters of a Redis cluster (redis.io, "Redis cluster specification").

The client of redis-py for clusters sends again what may have been done; here only whoever knows what was done decides
that.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from redis.connection import ConnectionPool
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, MovedError, ResponseError

from polyglot_gateway.engine.redis_nodes import REST_SECONDS, Node, Nodes, pack
from polyglot_gateway.errors import EngineDown

MEMBER_REST_SECONDS = 2.0
"""As REST_SECONDS, but longer: who has a part of the keys must not keep those waiting who ask for others."""

Address = tuple[str, int]


class _Member(Node):
    """A node of the cluster, which may name others by their port alone."""

    def __init__(self, pool: ConnectionPool, host: str, doubt: Callable[[], None]) -> None:
        super().__init__(pool, MEMBER_REST_SECONDS)
        self.host = host
        self._doubt = doubt

    def failed(self, error: Exception) -> EngineDown:
        """Another may have its slots now."""
        self._doubt()
        return super().failed(error)


class Cluster:
    """Masters, each with the keys of its slots. Thread safe.

    Who has which slot is asked when that is first needed, and again once it is doubted: a node failed, or sent somebody
    to another.
    """

    def __init__(self, seeds: Iterable[Address], connect: Callable[[str, int], ConnectionPool]) -> None:
        """Find the cluster by any of the `seeds`, which are nodes of it; nothing is sent yet."""
        self._connect = connect
        self._lock = threading.Lock()  # of the members
        self._looking = threading.Lock()
        self._members: dict[Address, _Member] = {}
        self._seeds = [self._member(*address) for address in seeds]
        self._masters: list[_Member] = []
        self._slots: list[_Member | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._doubted = True
        self._rests_until = 0.0

    def of(self, key: bytes) -> Node:
        """See `Nodes`."""
        self._look()
        member = self._slots[key_slot(key)]
        if member is None:
            self.doubt()
            raise EngineDown(next(filter(None, (seed.trouble() for seed in self._seeds)), "No node has this slot."))
        if member.trouble():
            self.doubt()
        return member

    def masters(self) -> list[Node]:
        """See `Nodes`; the seeds when none is known."""
        self._look()
        return [*(self._masters or self._seeds)]

    def moved(self, error: AskError, by: Node) -> Node | None:
        """See `Nodes`."""
        assert isinstance(by, _Member)
        with self._lock:
            member = self._member(error.host or by.host, error.port)
            if isinstance(error, MovedError):
                self._slots[error.slot_id] = member
        self.doubt()
        return member

    def doubt(self) -> None:
        """See `Nodes`."""
        self._doubted = True

    def close(self) -> None:
        """See `Nodes`."""
        for member in list(self._members.values()):
            member.close()

    def _look(self) -> None:
        """Ask who has which slot, when that is in doubt and was not asked just now."""
        known = bool(self._masters)
        if time.monotonic() < self._rests_until or (known and not self._doubted):
            return
        if not self._looking.acquire(blocking=not known):
            return  # somebody asks; until then what was known holds
        try:
            if time.monotonic() >= self._rests_until:
                self._doubted = not self._ask()
                self._rests_until = time.monotonic() + REST_SECONDS
        finally:
            self._looking.release()

    def _ask(self) -> bool:
        # In any order: one that lost the others may have an old view of them.
        for member in [*random.sample(self._masters, len(self._masters)), *self._seeds]:
            try:
                (answer,) = member.read(member.write(pack("CLUSTER", "SLOTS")), 1)
            except EngineDown:
                continue
            if isinstance(answer, ResponseError):
                member.failed(answer)
            elif answer:
                self._take(answer, member)
                return True
        return False

    def _take(self, ranges: list[Any], asked: _Member) -> None:
        slots: list[_Member | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        with self._lock:
            for first, last, (host, port, *_), *_replicas in ranges:
                known = host and host != b"?"
                member = self._member(host.decode() if known else asked.host, port)
                slots[first : last + 1] = [member] * (last - first + 1)
            self._slots = slots
            self._masters = list({member: None for member in slots if member is not None})
            stay = {*self._masters, *self._seeds}
            self._members = {address: member for address, member in self._members.items() if member in stay}

    def _member(self, host: str, port: int) -> _Member:
        member = self._members.get((host, port))
        if member is None:
            member = self._members[host, port] = _Member(self._connect(host, port), host, self.doubt)
        return member


_: Callable[..., Nodes] = Cluster
