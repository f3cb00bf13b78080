"""What the C++ thread has for the processor: taken, judged, and given back, as many calls at once as it gives."""

from __future__ import annotations

from functools import partial

from polyglot_gateway import _core
from polyglot_gateway.processor.base import Processor
from polyglot_gateway.processor.judging import judge
from polyglot_gateway.server.greenlets import Greenlets
from polyglot_gateway.server.readable import Readable


class ProcessLoop:
    """Stands between one server and the processor."""

    def __init__(self, server: _core.Server, processor: Processor) -> None:
        self._server = server
        self._readable = Readable(server.processing_fileno(), self._take)
        self._greenlets = Greenlets(partial(judge, processor))

    def start(self) -> None:
        """Take events from now on."""
        self._readable.start()

    def stop(self) -> None:
        """Take no more; what is under way has failed."""
        self._readable.stop()
        self._greenlets.stop()

    def _take(self) -> None:
        """Called in the hub, so it must not wait."""
        while (call := self._server.take_processing()) is not None:
            self._greenlets.put(call)
