"""Carries through Redis what workers tell each other of presence, between those of all instances.

What cannot be said is dropped, and what is said while nobody listens is lost: workers number their messages, and ask
each other for what they miss (server/presence.hpp). To keep the order is all that is promised here.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

import hiredis
import structlog
from redis.exceptions import ResponseError, TimeoutError

from polyglot_gateway import _core
from polyglot_gateway.engine.redis_link import RedisLink, refusal
from polyglot_gateway.engine.redis_nodes import ANSWER_SECONDS, CONNECT_SECONDS, REST_SECONDS
from polyglot_gateway.engine.redis_subscriber import Subscriber
from polyglot_gateway.errors import EngineUnavailable

MOST_MESSAGES = 1000
"""That are said at a time."""
SILENT_SECONDS = 3.0
"""Every worker says something each second, and hears it; a subscription that hears nothing for so long is made anew."""
LOOK_SECONDS = 0.5
"""How long `stop` may go unnoticed."""

_log = structlog.get_logger("polyglot_gateway.server")


class PresenceBus:
    """The bus of one server. It works in two threads, which gevent makes greenlets of in its workers.

    What waits to be said is what the server said within the time that Redis takes to answer or is given up.
    """

    def __init__(self, server: _core.Server, link: RedisLink, channel: str) -> None:
        """Carry what `server` says, once it is started.

        Args:
            server: One that leaves presence to Python.
            link: To the Redis of all instances.
            channel: The sharded pub/sub channel for this.
        """
        self._server = server
        self._link = link
        self._channel = channel
        self._waiting: deque[bytes] = deque()
        self._has_waiting = threading.Event()
        self._tried = threading.Event()
        self._stopping = threading.Event()
        self._well = True
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._speak, self._listen)]

    def start(self) -> None:
        """Say and hear from now on."""
        for thread in self._threads:
            thread.start()

    def say(self, message: bytes) -> None:
        """Say it behind all that was said before. Never waits."""
        self._waiting.append(message)
        self._has_waiting.set()

    def stop(self) -> None:
        """Say what the server has left to say, its last leaves among it, and end. The server must have been stopped."""
        for kind, _, message in self._server.take({}):
            if kind == "presence":
                self.say(message)
        self._stopping.set()
        self._has_waiting.set()
        for thread in self._threads:
            thread.join(CONNECT_SECONDS + ANSWER_SECONDS)

    def _speak(self) -> None:
        # What is asked before there is a subscription would be answered to nobody.
        self._tried.wait(CONNECT_SECONDS + ANSWER_SECONDS)
        is_last = False
        while not is_last:
            self._has_waiting.wait()
            self._has_waiting.clear()
            is_last = self._stopping.is_set()
            while self._waiting:
                self._send([self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_MESSAGES))])

    def _send(self, messages: list[bytes]) -> None:
        try:
            answers = self._link.send([("SPUBLISH", self._channel, message) for message in messages])
        except EngineUnavailable as error:
            self._failed(error.message)
            return
        if refused := next((answer for answer in answers if isinstance(answer, ResponseError)), None):
            self._failed(refusal(refused))

    def _listen(self) -> None:
        name = self._channel.encode()
        while not self._stopping.is_set():
            subscriber = None
            try:
                subscriber = Subscriber(self._link.nodes.of(name))
                subscriber.ask(b"SSUBSCRIBE", [name])
                self._hear(subscriber)
            # Whatever it is: who no longer listens would never hear anybody again.
            except Exception as error:
                self._failed(f"Redis does not answer: {str(error).rstrip('.')}.")
                self._tried.set()
                self._stopping.wait(REST_SECONDS)
            finally:
                if subscriber:
                    subscriber.close()

    def _hear(self, subscriber: Subscriber) -> None:
        heard_at = time.monotonic()
        while not self._stopping.is_set():
            subscriber.wait(LOOK_SECONDS)
            # Until there is no more: what TLS has decrypted already does not make the descriptor readable.
            while replies := subscriber.read():
                self._take(replies)
                heard_at = time.monotonic()
            if time.monotonic() > heard_at + SILENT_SECONDS:
                raise TimeoutError("nothing comes")

    def _take(self, replies: list[Any]) -> None:
        messages = []
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                raise ResponseError(str(reply))
            if reply[0] == b"smessage":
                messages.append(reply[2])
            elif reply[0] == b"sunsubscribe":
                raise ResponseError("the channel's slot has moved")
            else:
                self._tried.set()
        if messages:
            self._server.hear_presence(messages)
            self._well = True

    def _failed(self, reason: str) -> None:
        if self._well and not self._stopping.is_set():
            _log.warning("presence does not reach the other workers", reason=reason)
        self._well = False
