"""Where log lines go: to standard error, whole or not at all.

Whoever logs is never stopped by it: nothing here waits for a reader that does not read, and what the system refuses
(a full disk, a closed pipe) is counted and said once lines go out again. Of warnings of one kind only so many are
written in a second; how many were held back, the next one says.
"""

from __future__ import annotations

import _socket
import contextlib
import copy
import logging
import os
import socket
import stat
import time
from collections.abc import Callable
from typing import IO

MOST_A_SECOND = 10
"""Warnings of one kind that are written: of the same logger, with the same event and code."""
MOST_KINDS = 1000
"""That are told apart; beyond it all begin anew."""

Kind = tuple[str, str, str]


class _Held:
    """Lines of one kind in this second.

    Attributes:
        began: When the second began.
        written: Of them.
        held: And how many were not.
        last: The newest of those.
    """

    __slots__ = ("began", "held", "last", "written")

    def __init__(self, began: float) -> None:
        self.began = began
        self.written = 0
        self.held = 0
        self.last: logging.LogRecord | None = None


class LogHandler(logging.Handler):
    """Writes to a stream, by its descriptor if it has one. Thread safe."""

    def __init__(self, stream: IO[str] | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Write to `stream`; None is a standard error that was closed before the start."""
        super().__init__()
        self._write, self._let_go = _writer(stream)
        self._clock = clock
        self._held: dict[Kind, _Held] = {}
        self._lost = 0
        self._torn = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, or hold it back. Never raises."""
        try:
            if record.levelno < logging.WARNING or (admitted := self._admit(record)) is record:
                self._say(record)
            elif admitted is not None:
                self._say(admitted)
        except Exception:  # a line that cannot be made is lost, as one that cannot be written
            self._lost += 1

    def tell_held_back(self) -> None:
        """Say what was held back when no other line of its kind came; to be called now and then."""
        if not self._held:
            return
        with self.lock or contextlib.nullcontext():
            now = self._clock()
            for kind, held in list(self._held.items()):
                if now - held.began < 1.0:
                    continue
                del self._held[kind]
                if held.last is not None:
                    self._say(_with_held_back(held.last, held.held - 1))

    def close(self) -> None:
        """Let go of the descriptor."""
        self._let_go()
        super().close()

    def _admit(self, record: logging.LogRecord) -> logging.LogRecord | None:
        now = self._clock()
        kind = _kind_of(record)
        held = self._held.get(kind)
        if held is None or now - held.began >= 1.0:
            if len(self._held) >= MOST_KINDS:
                self._held.clear()
            self._held[kind] = _Held(now)
            self._held[kind].written = 1
            return _with_held_back(record, held.held) if held is not None and held.held else record
        if held.written < MOST_A_SECOND:
            held.written += 1
            return record
        held.held += 1
        held.last = record
        return None

    def _say(self, record: logging.LogRecord) -> None:
        line = self.format(record).encode("utf-8", "backslashreplace") + b"\n"
        if self._lost:
            lost = logging.LogRecord(
                "polyglot_gateway.ops", logging.WARNING, "", 0, "log lines could not be written", None, None
            )
            lost.lost = self._lost
            line = self.format(lost).encode() + b"\n" + line
        if self._torn:
            line = b"\n" + line
        try:
            written = self._write(line)
        except (OSError, ValueError):
            self._lost += 1
            return
        self._torn = written < len(line)
        self._lost = int(self._torn)


def _kind_of(record: logging.LogRecord) -> Kind:
    if isinstance(record.msg, dict):  # as structlog gives it
        return record.name, str(record.msg.get("event")), str(record.msg.get("code"))
    return record.name, str(record.msg), ""


def _with_held_back(record: logging.LogRecord, held_back: int) -> logging.LogRecord:
    if not held_back:
        return record
    record = copy.copy(record)
    if isinstance(record.msg, dict):
        record.msg = {**record.msg, "held_back": record.msg.get("held_back", 0) + held_back}
    else:
        record.held_back = held_back
    return record


def _writer(stream: IO[str] | None) -> tuple[Callable[[bytes], int], Callable[[], None]]:
    """What writes bytes without ever waiting and returns how many went out, and what lets go of it."""
    if stream is None:
        return len, lambda: None
    try:
        descriptor = stream.fileno()
        mode = os.fstat(descriptor).st_mode
    except (OSError, ValueError, AttributeError):

        def write_text(line: bytes) -> int:
            stream.write(line.decode())
            return len(line)

        return write_text, lambda: None
    if stat.S_ISSOCK(mode):
        # Not gevent's, which would wait.
        peer = _socket.socket(fileno=os.dup(descriptor))
        return lambda line: peer.send(line, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL), peer.close
    if stat.S_ISFIFO(mode):
        # Opened anew, because not to wait is a property of what all share that have the same description.
        with contextlib.suppress(OSError):
            own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            return lambda line: os.write(own, line), lambda: os.close(own)
    return lambda line: os.write(descriptor, line), lambda: None
