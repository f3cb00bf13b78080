"""Forwards to Redis what waited for it on this host, in order and once."""

from __future__ import annotations

import contextlib
import threading
import time

import structlog

from polyglot_gateway import _core
from polyglot_gateway.engine.redis_appender import RedisAppender
from polyglot_gateway.engine.redis_link import RedisLink
from polyglot_gateway.engine.redis_reader import Query, RedisReader
from polyglot_gateway.engine.redis_spool import Spool
from polyglot_gateway.engine.spool_file import ENDING, Record, SpoolFile
from polyglot_gateway.errors import EngineUnavailable, IdempotencyMismatch

TICK_SECONDS = 0.1
"""So often it is looked whether something can be forwarded."""
ADOPT_SECONDS = 2.0
"""So often it is looked for files of workers that have ended."""
SETTLE_SECONDS = 1.0
"""So long Redis has to have answered: then it has done, or never will, what it was sent before it stopped to answer."""
TURN_SECONDS = 0.05
PAUSE_SECONDS = 0.001
"""So long it is forwarded without anything being taken, and so long whoever has something is let in."""
MOST_EVENTS = 1000
MOST_BYTES = 1 << 20
"""Of what is forwarded at a time. What was under way when a worker was killed is found by these: they may only grow."""

_log = structlog.get_logger("polyglot_gateway.engine")


class Forwarder:
    """One thread that forwards this worker's file, and those of workers that have ended."""

    def __init__(
        self, spool: Spool, appender: RedisAppender, reader: RedisReader, link: RedisLink, gateway: _core.Gateway
    ) -> None:
        """Forward what is in the spool; `gateway` has the counters."""
        self._spool = spool
        self._appender = appender
        self._reader = reader
        self._link = link
        self._gateway = gateway
        self._doubtful: set[SpoolFile] = set()  # of whose first events Redis may have some
        self._adopted: list[SpoolFile] = []
        self._adopts_at = 0.0
        self._answers_since: float | None = None
        self._said = ""
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Work from now on."""
        self._thread.start()

    def close(self) -> None:
        """Stop, once what is under way is answered, and let go of all files but the spool's own."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()
        for file in self._adopted:
            file.close()

    def _run(self) -> None:
        while not self._closed.wait(TICK_SECONDS):
            try:
                self._look()
            except EngineUnavailable as error:
                self._answers_since = None
                self._say(error.message)
            except Exception as error:
                # Whatever it is, what waits has to go on waiting for the next try.
                _log.error("forwarding failed", exc_info=error)

    def _look(self) -> None:
        now = time.monotonic()
        if now >= self._adopts_at:
            self._adopt()
            self._adopts_at = now + ADOPT_SECONDS
        files = [file for file in (*self._adopted, self._spool.file) if file.events]
        if not files:
            self._answers_since = None
            return
        if self._link.trouble():
            self._answers_since = None
            return
        if self._answers_since is None:
            self._answers_since = now
        if now - self._answers_since < SETTLE_SECONDS:
            return
        for file in files:
            self._forward(file)
        self._say("")

    def _adopt(self) -> None:
        known = {file.path for file in (*self._adopted, self._spool.file)}
        for path in sorted(self._spool.folder.glob(f"*{ENDING}")):
            if path in known:
                continue
            try:
                file = SpoolFile.adopt(path)
            except OSError as error:
                self._say(f"{path} cannot be read: {error}")
                continue
            if file is None:
                continue
            if file.cut:
                _log.warning("a spool ended within an event, which was cut off", path=str(path), bytes=file.cut)
            if not file.events:
                file.close()
                continue
            _log.info("events of a worker that has ended wait here", path=str(path), events=file.events)
            self._adopted.append(file)
            self._doubtful.add(file)

    def _forward(self, file: SpoolFile) -> None:
        """All that waits in the file. Raises: EngineUnavailable, OSError."""
        mine = file is self._spool.file
        while file.events and not self._closed.is_set():
            # Who publishes waits meanwhile: if more could be added than is forwarded, it would never come to an end.
            with self._spool.lock if mine else contextlib.nullcontext():
                turn_ends = time.monotonic() + TURN_SECONDS
                while file.events and time.monotonic() < turn_ends:
                    self._forward_some(file)
            time.sleep(PAUSE_SECONDS)
        if not file.events and not mine:
            self._adopted.remove(file)
            file.close()

    def _forward_some(self, file: SpoolFile) -> None:
        found = file.read(MOST_EVENTS, MOST_BYTES)
        if not found:
            _log.error("a spool is damaged, and events are lost", path=str(file.path), events=file.events)
            self._spool.done(file, file.size, file.events)
            return
        records = [record for _, record in found]
        doubtful = file in self._doubtful
        there = self._there([record for record in records if record.unknown or doubtful])
        self._doubtful.add(file)  # until all that is sent now is answered
        left = [record for record in records if record.id not in there]
        for place, code, message in self._appender.forward(left) if left else ():
            if code != IdempotencyMismatch.code:
                raise EngineUnavailable(message)
            # Another instance had another event under this key, and told its client first.
            self._gateway.count_refused(code)
            _log.error(
                "an event that waited is lost", reason=message, id=_id_of(left[place]), channel=left[place].channel
            )
        # The machine may have ended before it was on the disk how far the file was forwarded.
        if not (doubtful and there):
            self._doubtful.discard(file)
        self._spool.done(file, found[-1][0], len(found))

    def _there(self, doubtful: list[Record]) -> set[bytes]:
        """The ids of those that Redis has. Raises: EngineUnavailable."""
        wanted: dict[tuple[str, str], dict[str, bytes]] = {}
        for record in doubtful:
            wanted.setdefault(record.place, {})[_id_of(record)] = record.id
        return {ids[name] for (app, channel), ids in wanted.items() for name in self._names(app, channel, set(ids))}

    def _names(self, app: str, channel: str, wanted: set[str]) -> set[str]:
        """Those of the ids, as clients know them, that are in the channel."""
        found: set[str] = set()
        until = None
        while found != wanted:
            query = Query(until=until, limit=MOST_EVENTS, reverse=True)
            _, events = self._reader.read(app, channel, query)
            found |= wanted & {_name_in(envelope) for _, envelope in events}
            if len(events) < MOST_EVENTS:
                break
            until = events[-1][0] - 1
        return found

    def _say(self, trouble: str) -> None:
        """Once, and again when it is another one."""
        if trouble and trouble != self._said:
            _log.warning("what waits here cannot be forwarded", reason=trouble)
        self._said = trouble


def _name_in(envelope: bytes) -> str:
    # It begins with {"id":"evt_…", which has 30 characters (core/envelope.hpp).
    return envelope[7:37].decode()


def _id_of(record: Record) -> str:
    return _name_in(record.envelope)
