"""A file of events that wait for what keeps them.

A header of 32 bytes: a name, then as 64-bit numbers the place of the first record that was not forwarded, how many
records were forwarded, and how many there have been. Then the records, one behind the other: length and CRC-32 of what
follows, the numbers of `_FIXED`, app, channel and envelope. All numbers are little endian.

A record is written by one call, and only then acknowledged. So a last one that is not whole, because the writer was
killed or the disk was full, was never acknowledged, and is cut off when the file is opened.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

ENDING = ".spool"

_NAME = b"PGSPOOL1"
_HEADER = struct.Struct("<8sQQQ")
_FRAME = struct.Struct("<II")
_FIXED = struct.Struct("<?q16s16sQBB")
"""unknown, time, id, key, hash of the event, sizes of app and channel."""
_CHUNK = 1 << 18


class Record(NamedTuple):
    """One event."""

    app: str
    channel: str
    id: bytes
    time: int
    key: bytes
    """Of 16 bytes: the client's idempotency key; without one, the id."""
    event_hash: int
    envelope: bytes
    unknown: bool
    """It was on its way when what keeps the events stopped to answer, and so it may be there already."""

    @property
    def place(self) -> tuple[str, str]:
        """App and channel."""
        return self.app, self.channel

    def restored(self) -> tuple[str, str, bytes, int, bytes, int, bytes]:
        """As `Gateway.restore` takes it."""
        return self.app, self.channel, self.id, self.time, self.key, self.event_hash, self.envelope

    def packed(self) -> bytes:
        """As it stands in the file."""
        app, channel = self.app.encode(), self.channel.encode()
        fixed = _FIXED.pack(self.unknown, self.time, self.id, self.key, self.event_hash, len(app), len(channel))
        payload = b"".join((fixed, app, channel, self.envelope))
        return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload

    @classmethod
    def unpacked(cls, payload: bytes) -> Self:
        """One that stands in the file, without its length and CRC-32."""
        unknown, time, id_, key, event_hash, app, channel = _FIXED.unpack_from(payload)
        channel_at, envelope_at = _FIXED.size + app, _FIXED.size + app + channel
        return cls(
            payload[_FIXED.size : channel_at].decode(),
            payload[channel_at:envelope_at].decode(),
            id_,
            time,
            key,
            event_hash,
            payload[envelope_at:],
            unknown,
        )


class SpoolFile:
    """One file, which nobody else has while this one is open.

    Thread safe as far as this: one thread may `append`, another one `read`, and any `sync`; `forwarded` and `append`
    exclude each other, and `close` comes when all others are done.

    Attributes:
        path: Where it is.
        events: Records that were not forwarded.
        size: Bytes of the file.
        cut: Bytes that were cut off when it was opened.
    """

    def __init__(self, path: Path, descriptor: int, *, sync: bool = False) -> None:
        """Use `create` or `adopt`."""
        self.path = path
        self._descriptor = descriptor
        self._sync = sync
        self._syncing = threading.Lock()
        size = os.fstat(descriptor).st_size
        begin, self._forwarded = _HEADER.size, 0
        if size >= _HEADER.size:
            name, begin, self._forwarded, _ = _HEADER.unpack(os.pread(descriptor, _HEADER.size, 0))
            if name != _NAME:
                raise OSError(f"{path} was made by another version of the gateway")
        self._begin = self.size = max(min(begin, size), _HEADER.size)
        self.events = 0
        for end, _ in self._records(size):
            self.size = end
            self.events += 1
        self.cut = max(size - self.size, 0)
        if self.cut:
            os.ftruncate(descriptor, self.size)
        self._write_header()

    @classmethod
    def create(cls, folder: Path, *, sync: bool) -> Self:
        """A new one in the folder, which is made when it is missing; with `sync`, `append` waits for the disk.

        Raises: OSError.
        """
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            path = folder / f"{secrets.token_hex(8)}{ENDING}"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            made = cls._locked(path, descriptor, sync=sync)
            if made is not None:  # else somebody has adopted and removed it
                _sync_folder(folder)
                return made

    @classmethod
    def adopt(cls, path: Path) -> Self | None:
        """One that another process has left behind; None when somebody has it, or it is gone.

        Raises: OSError.
        """
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return None
        return cls._locked(path, descriptor, sync=False)

    @classmethod
    def _locked(cls, path: Path, descriptor: int, *, sync: bool) -> Self | None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_nlink:
                return cls(path, descriptor, sync=sync)
        except BlockingIOError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def append(self, records: Sequence[bytes]) -> None:
        """Write records, as `Record.packed` gives them: all are there when this returns, and none when it raises.

        Raises: OSError.
        """
        end, events = self.size, self.events
        try:
            self.size += _write(self._descriptor, b"".join(records), end)
            self.events += len(records)
            self._write_header()
            if self._sync:
                os.fdatasync(self._descriptor)
        except OSError:
            self.size, self.events = end, events
            os.ftruncate(self._descriptor, end)
            with suppress(OSError):
                self._write_header()
            raise

    def read(self, most: int, most_bytes: int) -> list[tuple[int, Record]]:
        """The oldest records that were not forwarded, each with the place where it ends.

        So many, and those that begin in so many bytes. Raises: OSError.
        """
        enough = self._begin + most_bytes
        found: list[tuple[int, Record]] = []
        for end, payload in self._records(self.size):
            found.append((end, Record.unpacked(payload)))
            if len(found) == most or end >= enough:
                break
        return found

    def forwarded(self, end: int, events: int) -> None:
        """So many records, up to this place, are done. When all are, the file is as good as new.

        Raises: OSError.
        """
        self.events -= events
        self._forwarded += events
        self._begin = end
        if end == self.size:
            # In this order: a place beyond the end means that nothing is left.
            os.ftruncate(self._descriptor, _HEADER.size)
            self._begin = self.size = _HEADER.size
        self._write_header()

    def sync(self) -> None:
        """Return when what was written is on the disk. Raises: OSError."""
        with self._syncing:
            if self._descriptor >= 0:
                os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Let go of it; when nothing is in it, it is removed. Idempotent."""
        with self._syncing:
            if self._descriptor < 0:
                return
            if not self.events:
                self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1

    def _records(self, size: int) -> Iterator[tuple[int, bytes]]:
        """What each whole record that was not forwarded holds, and where it ends, in so many bytes of the file."""
        at = self._begin
        with open(os.dup(self._descriptor), "rb", _CHUNK) as file:
            file.seek(at)
            while len(frame := file.read(_FRAME.size)) == _FRAME.size:
                length, crc = _FRAME.unpack(frame)
                at += _FRAME.size + length
                if length < _FIXED.size or at > size or zlib.crc32(payload := file.read(length)) != crc:
                    return
                yield at, payload

    def _write_header(self) -> None:
        header = _HEADER.pack(_NAME, self._begin, self._forwarded, self._forwarded + self.events)
        _write(self._descriptor, header, 0)


def waiting(folder: Path) -> tuple[int, int]:
    """Events and bytes that wait in all files of the folder, whoever has them."""
    events = size = 0
    for path in folder.glob(f"*{ENDING}"):
        try:
            with path.open("rb") as file:
                name, begin, forwarded, all_events = _HEADER.unpack(file.read(_HEADER.size))
                end = os.fstat(file.fileno()).st_size
        except (OSError, struct.error):
            continue  # it has just been made or removed
        if name == _NAME:
            events += all_events - forwarded
            size += max(end - begin, 0)
    return events, size


def _write(descriptor: int, data: bytes, at: int) -> int:
    """Write all of it; how much that is. Raises: OSError."""
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, memoryview(data)[done:], at + done)
    return done


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
