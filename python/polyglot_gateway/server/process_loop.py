"""What the C++ thread has for the processor: taken, judged, and given back, as many calls at once as it gives.

Where there is a `ProcessWire`, the thread asks by itself, and what it leaves is settled here.
"""

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
        self._processor = processor
        self._greenlets = Greenlets(self._judge)

    def start(self) -> None:
        """Take events from now on."""
        self._readable.start()

    def stop(self) -> None:
        """Take no more; what is under way has failed."""
        self._readable.stop()
        self._server.revoke_process_wire()
        self._greenlets.stop()

    def _take(self) -> None:
        """Called in the hub, so it must not wait."""
        while (call := self._server.take_processing()) is not None:
            self._greenlets.put(call)

    def _judge(self, call: _core.ProcessCall) -> None:
        process, wire = self._processor.process, self._processor.wire
        if wire is not None and (answer := call.answer) is not None:
            process = partial(wire.settle, answer=answer)
        judge(process, call)
        if wire is not None:
            wire.lend(self._server)
