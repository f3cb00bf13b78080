"""Waits in gevent's hub for a descriptor of the C++ thread's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent


class Readable:
    """Calls a function in the hub whenever the descriptor is readable, until that is read or the wait paused.

    The function must not wait.
    """

    def __init__(self, descriptor: int, call: Callable[[], None]) -> None:
        """Begin with `start`."""
        self._descriptor = descriptor
        self._call = call
        self._watcher: Any = None

    def start(self) -> None:
        """Call from now on."""
        if self._watcher is None:
            self._watcher = gevent.get_hub().loop.io(self._descriptor, 1)
        self._watcher.start(self._call)

    def pause(self) -> None:
        """Call no more until the next `start`."""
        self._watcher.stop()

    def stop(self) -> None:
        """Let go of the descriptor. Idempotent."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None
