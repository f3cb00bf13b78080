"""What the C++ thread leaves to Python, given to who answers it: the application, or `questions`.

Jobs come through a queue that wakes gevent's loop.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import structlog
from gevent.event import Event

from polyglot_gateway import _core
from polyglot_gateway._core import CODES
from polyglot_gateway.gateway.tokens import Tokens
from polyglot_gateway.server.greenlets import Greenlets
from polyglot_gateway.server.questions import Questions
from polyglot_gateway.server.readable import Readable

_log = structlog.get_logger("polyglot_gateway.server")

WsgiApplication = Callable[[dict[str, Any], Any], Iterable[bytes]]
Headers = list[tuple[str, str]]
Job = tuple[str, int, Any]


class Elsewhere(Protocol):
    """What is done for an engine elsewhere (server/elsewhere.py). Called in the hub, so nothing here waits."""

    def follow(self, number: int, app: str, channel: str, since: int | None, epoch: str) -> None:
        """Keep the channel here equal from now on, and decide or deny the job of this number when it is."""

    def unfollow(self, app: str, channel: str) -> None:
        """Nobody reads the channel any more."""

    def announce(self, message: bytes) -> None:
        """Tell all workers, behind what was told before."""


class Handoff:
    """Answers the jobs of one server."""

    def __init__(
        self,
        server: _core.Server,
        application: WsgiApplication,
        tokens: Tokens,
        environ: dict[str, Any],
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """Answer requests by `application` and questions by `tokens`.

        Args:
            server: Gives the jobs.
            application: Called with each request (PEP 3333).
            tokens: Decides who may connect and join.
            environ: What the WSGI environment of every request has.
            elsewhere: What is done for an engine elsewhere; None when there is none.
        """
        self._elsewhere = elsewhere
        self._server = server
        self._application = application
        self._questions = Questions(server, tokens)
        self._environ = environ
        self._greenlets = Greenlets(self._work)
        self._streams: dict[int, _Stream] = {}
        self._readable = Readable(server.fileno(), self._take)

    def start(self) -> None:
        """Take jobs from now on."""
        self._readable.start()

    def stop(self) -> None:
        """Take no more, and end what is under way."""
        self._readable.stop()
        self._greenlets.stop()

    def _take(self) -> None:
        """Called in the hub, so it must not wait."""
        self._server.beat()
        for job in self._server.take(self._environ):
            kind, number, what = job
            if kind in ("request", "question"):
                self._greenlets.put(job)
            elif kind in ("follow", "unfollow", "presence"):
                self._tell_elsewhere(kind, number, what)
            elif kind == "log":
                _log_line(**what)
            elif stream := self._streams.get(number):
                stream.gone = stream.gone or kind == "gone"
                stream.room.set()

    def _tell_elsewhere(self, kind: str, number: int, what: Any) -> None:
        if self._elsewhere is None:
            raise AssertionError("the server was told that there is an engine elsewhere")
        if kind == "follow":
            self._elsewhere.follow(number, *what)
        elif kind == "unfollow":
            self._elsewhere.unfollow(*what)
        else:
            self._elsewhere.announce(what)

    def _work(self, job: Job) -> None:
        kind, number, what = job
        if kind == "request":
            self._answer(number, what)
        else:
            self._questions.answer(number, what)

    def _answer(self, number: int, environ: dict[str, Any]) -> None:
        reply = _Reply(self._server, number)
        try:
            body = self._application(environ, reply.start_response)
            if type(body) is list and len(body) < 2 and not reply.written:
                reply.whole(body[0] if body else b"")
            else:
                self._stream(number, reply, body)
        except Exception as error:
            _log.error("the application failed", exc_info=error, path=environ.get("PATH_INFO"))
            reply.fail()

    def _stream(self, number: int, reply: _Reply, body: Iterable[bytes]) -> None:
        stream = self._streams[number] = _Stream()
        try:
            for chunk in itertools.chain(reply.written, body):
                if chunk:
                    self._send(stream, reply, chunk)
                if stream.gone:
                    return
            reply.end()
        finally:
            del self._streams[number]
            if close := getattr(body, "close", None):
                close()

    def _send(self, stream: _Stream, reply: _Reply, chunk: bytes) -> None:
        stream.room.clear()
        reply.more(chunk)
        stream.room.wait()


def _log_line(event: str, **what: Any) -> None:
    """What the gateway cannot do at the moment is a warning, as Falcon's routes have it."""
    temporary = CODES[what["code"]].retry_after if "code" in what else 0
    (_log.warning if temporary else _log.error)(event, **what)


class _Stream:
    """A reply that goes out in parts."""

    __slots__ = ("gone", "room")

    def __init__(self) -> None:
        self.room = Event()
        self.gone = False


class _Reply:
    """One reply, from start_response on. The server refuses what would break out of its head."""

    __slots__ = ("_begun", "_headers", "_number", "_server", "_status", "written")

    def __init__(self, server: _core.Server, number: int) -> None:
        self._server = server
        self._number = number
        self._status = ""
        self._headers: Headers = []
        self._begun = False
        self.written: list[bytes] = []

    def start_response(self, status: str, headers: Headers, exc_info: Any = None) -> Callable[[bytes], None]:
        if exc_info and self._begun:
            raise exc_info[1].with_traceback(exc_info[2])
        if self._status and not exc_info:
            raise AssertionError("start_response was called twice")
        self._status, self._headers = status, headers
        return self.written.append

    def whole(self, body: bytes) -> None:
        if not self._status:
            raise AssertionError("start_response was not called")
        self._server.respond(self._number, self._status, self._headers, body)

    def more(self, chunk: bytes) -> None:
        if not self._begun:
            self._begin()
        self._server.send(self._number, chunk)

    def end(self) -> None:
        if not self._begun:
            self._begin()
        self._server.end(self._number)

    def fail(self) -> None:
        """After an exception: 500, or if the head is out already the end of the connection."""
        if self._begun:
            self._server.abort(self._number)
            return
        problem = _core.problem_json("internal_error", "The application failed; the gateway's log says how.")
        headers = [("Content-Type", "application/problem+json")]
        self._server.respond(self._number, "500 Internal Server Error", headers, problem)

    def _begin(self) -> None:
        if not self._status:
            raise AssertionError("start_response was not called")
        self._server.begin(self._number, self._status, self._headers)
        self._begun = True
