"""Takes events while Redis does not answer: they wait in a file of this host until they are forwarded."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import structlog

from polyglot_gateway import _core
from polyglot_gateway.engine.spool_file import Record, SpoolFile, waiting
from polyglot_gateway.errors import EngineDown, EngineUnavailable, StorageUnusable

SYNC_SECONDS = 0.5
"""With the durability `interval`, what was written is on the disk after so long."""

_log = structlog.get_logger("polyglot_gateway.engine")


class _First(NamedTuple):
    """The event that waits under a client's idempotency key."""

    id: bytes
    time: int
    event_hash: int


class Spool:
    """The events of this worker that wait. Thread safe.

    Once one waits, all that this worker takes waits behind it, so that its order holds.

    Attributes:
        folder: Where the files of all workers are.
        file: That of this one.
        lock: Nothing is taken meanwhile.
    """

    def __init__(self, gateway: _core.Gateway, folder: Path, *, most_bytes: int, durability: str) -> None:
        """Make this worker's file. Open it after the fork.

        Args:
            gateway: Has the counters.
            folder: Made when it is missing.
            most_bytes: Largest size of the file.
            durability: process, interval or sync: what an acknowledged event survives, as in the history.

        Raises:
            StorageUnusable: There can be no file.
        """
        self.folder = folder
        self.lock = threading.RLock()
        self._gateway = gateway
        self._most_bytes = most_bytes
        self._keys: dict[bytes, _First] = {}
        self._failure = ""
        self._full = False  # something had no room since it was last empty
        self._closed = threading.Event()
        try:
            self.file = SpoolFile.create(folder, sync=durability == "sync")
        except OSError as error:
            raise StorageUnusable(f"No file can be made in {folder}: {error.strerror}.") from error
        if durability == "interval":
            threading.Thread(target=self._sync_now_and_then, daemon=True).start()

    def trouble(self) -> str:
        """Why nothing can be taken, one sentence; empty when it can."""
        return self._failure or ("The spool is full." if self._full else "")

    def figures(self) -> dict[str, int]:
        """Events and bytes that wait, of all workers of this host."""
        events, size = waiting(self.folder)
        return {"events": events, "bytes": size}

    def take_behind(self, calls: _core.AppendCalls) -> bool:
        """When events wait here, take these too; whether it was so. What became of each is written into it."""
        with self.lock:
            if not self.file.events:
                return False
            everything = range(len(calls.channels()))
            self.take(calls, everything, EngineDown("Redis has not got yet what was published before."), unknown=False)
            return True

    def take(self, calls: _core.AppendCalls, which: Iterable[int], why: EngineUnavailable, *, unknown: bool) -> None:
        """Take the events of some of the calls, and write into each what became of it.

        Args:
            calls: As they were, or could not be, sent.
            which: The numbers of those whose events are to be taken.
            why: What is said of an event that cannot be taken.
            unknown: Redis may have got them.
        """
        with self.lock:
            channels = calls.channels()
            room = self._most_bytes - self.file.size
            packed: list[bytes] = []
            new: list[tuple[int, int]] = []
            repeated: list[tuple[int, int, bytes]] = []
            full: list[tuple[int, int]] = []
            keys: dict[bytes, _First] = {}
            for call in which:
                for event, (id_, time, key, event_hash, envelope) in enumerate(calls.events(call)):
                    if key and (key in keys or key in self._keys):
                        repeated.append((call, event, key))
                        continue
                    record = Record(*channels[call], id_, time, key or id_, event_hash, envelope, unknown).packed()
                    if len(record) > room:
                        full.append((call, event))
                        self._full = True
                        room = 0  # nor may a smaller one overtake it
                        continue
                    room -= len(record)
                    packed.append(record)
                    new.append((call, event))
                    if key:
                        keys[key] = _First(id_, time, event_hash)
            if self._write(packed):
                self._keys |= keys
                for call, event in new:
                    calls.spooled(call, event)
            else:
                full += new
            for call, event, key in repeated:
                if (first := self._keys.get(key)) is not None:
                    calls.repeated(call, event, *first)
                else:
                    full.append((call, event))
            self._refuse(calls, full, why)

    def done(self, file: SpoolFile, end: int, events: int) -> None:
        """So many events of this or another worker's file, up to this place, have been forwarded. Raises: OSError."""
        with self.lock:
            file.forwarded(end, events)
            if not self.file.events:
                self._keys.clear()
                self._failure = ""
                self._full = False
        self._gateway.count("forwarded", events)

    def close(self) -> None:
        """Let go of the file; what waits stays in it. Idempotent."""
        self._closed.set()
        with self.lock:
            self.file.close()

    def _write(self, packed: list[bytes]) -> bool:
        try:
            if packed:
                self.file.append(packed)
        except OSError as error:
            self._failure = f"The spool cannot be written: {error.strerror}."
            _log.error("the spool cannot be written", reason=error.strerror)
            return False
        self._failure = ""
        return True

    def _refuse(self, calls: _core.AppendCalls, events: list[tuple[int, int]], why: EngineUnavailable) -> None:
        if events:
            said = f"{why.message} {self.trouble()}"
            for call, event in events:
                calls.refuse_event(call, event, why.code, said)
            self._gateway.count("spool_full", len(events))

    def _sync_now_and_then(self) -> None:
        synced = self.file.size
        while not self._closed.wait(SYNC_SECONDS):
            size = self.file.size
            if size == synced:
                continue
            try:
                self.file.sync()
            except OSError as error:
                _log.error("what waits in the spool is not on the disk", reason=error.strerror)
            else:
                synced = size
