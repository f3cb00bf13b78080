"""What the C++ thread has for the processor: taken, judged, and given back, each call in a greenlet of its own."""

from __future__ import annotations

from gevent.pool import Group

from polyglot_gateway import _core
from polyglot_gateway.processor.base import Processor
from polyglot_gateway.processor.judging import judge
from polyglot_gateway.server.readable import Readable


class ProcessLoop:
    """Stands between one server and the processor."""

    def __init__(self, server: _core.Server, processor: Processor) -> None:
        self._server = server
        self._processor = processor
        self._readable = Readable(server.processing_fileno(), self._take)
        self._greenlets = Group()

    def start(self) -> None:
        """Take events from now on."""
        self._readable.start()

    def stop(self) -> None:
        """Take no more; what is under way has failed."""
        self._readable.stop()
        self._greenlets.kill(block=False)

    def _take(self) -> None:
        """Called in the hub, so it must not wait."""
        while (call := self._server.take_processing()) is not None:
            self._greenlets.spawn(judge, self._processor, call)
