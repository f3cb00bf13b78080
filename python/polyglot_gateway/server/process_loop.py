"""What the C++ thread has for the processor: taken, judged, and given back, each call in a greenlet of its own."""

from __future__ import annotations

from typing import Any

import gevent
from gevent.pool import Group

from polyglot_gateway import _core
from polyglot_gateway.processor.base import Processor
from polyglot_gateway.processor.judging import judge


class ProcessLoop:
    """Stands between one server and the processor."""

    def __init__(self, server: _core.Server, processor: Processor) -> None:
        self._server = server
        self._processor = processor
        self._watcher: Any = None
        self._greenlets = Group()

    def start(self) -> None:
        """Take events from now on."""
        self._watcher = gevent.get_hub().loop.io(self._server.processing_fileno(), 1)
        self._watcher.start(self._take)

    def stop(self) -> None:
        """Take no more; what is under way has failed."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None
        self._greenlets.kill(block=False)

    def _take(self) -> None:
        """Called in the hub, so it must not wait."""
        while (call := self._server.take_processing()) is not None:
            self._greenlets.spawn(judge, self._processor, call)
