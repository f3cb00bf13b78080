"""What Redis tells: which channels have news."""

from __future__ import annotations

import contextlib
import os
import socket
import time

from redis.client import PubSub
from redis.exceptions import RedisError, TimeoutError

from polyglot_gateway.engine.redis_link import ANSWER_SECONDS, REST_SECONDS, RedisLink

MOST_MESSAGES = 1000
"""That one poll reads."""


class RedisFeed:
    """A subscription to the news of all channels, made again whenever it was lost. For one thread.

    What Redis said while there was no subscription is lost; the next poll says so.
    """

    def __init__(self, link: RedisLink, news: str) -> None:
        """Subscribe to the pub/sub channel `news`.

        Raises:
            EngineUnavailable: Redis does not answer.
        """
        self._link = link
        self._news = news
        self._pubsub: PubSub | None = None
        self._rests_until = 0.0
        # What others wait on keeps its number: each connection gets it in turn, and between them one that is silent.
        self._silent = os.eventfd(0)
        self._fd = os.dup(self._silent)
        try:
            self._subscribe()
        except RedisError as error:
            raise link.failed(error) from error

    def fileno(self) -> int:
        """See `Feed`."""
        return self._fd

    def poll(self) -> tuple[list[tuple[str, str]], bool]:
        """See `Feed`. Whatever was acknowledged before is told."""
        self._link.check_open()
        if self._pubsub is not None:
            with contextlib.suppress(RedisError):
                return self._take(), False
            self._drop()
        if time.monotonic() < self._rests_until:
            return [], False
        try:
            self._subscribe()
            return self._take(), True
        except RedisError:
            self._drop()
            self._rests_until = time.monotonic() + REST_SECONDS
            return [], False

    def close(self) -> None:
        """Let go of everything. Idempotent."""
        self._drop()
        for fd in (self._fd, self._silent):
            if fd >= 0:
                os.close(fd)
        self._fd = self._silent = -1

    def __del__(self) -> None:
        self.close()

    def _take(self) -> list[tuple[str, str]]:
        """All that came; when nothing did, also what is on its way."""
        assert self._pubsub
        names: dict[tuple[str, str], None] = {}
        asked = answered = False
        for _ in range(MOST_MESSAGES):
            message = self._pubsub.get_message(timeout=ANSWER_SECONDS if asked and not answered else 0)
            if message is None:
                if names or answered:
                    break
                if asked:
                    raise TimeoutError("no answer")
                # Redis answers in order: behind the answer to this there is nothing older. What came with it is read
                # too, or it would lie in the parser's memory, where the descriptor does not show it.
                self._pubsub.ping()
                asked = True
            elif message["type"] == "message":
                app, _, channel = message["data"].decode().partition(":")
                names[app, channel] = None
            elif message["type"] == "pong":
                answered = True
        return list(names)

    def _subscribe(self) -> None:
        pubsub: PubSub = self._link.client.pubsub()  # type: ignore[no-untyped-call]
        try:
            pubsub.subscribe(self._news)
            if pubsub.get_message(timeout=ANSWER_SECONDS) is None:
                raise TimeoutError("no answer")
        except RedisError:
            pubsub.close()
            raise
        os.dup2(_socket_of(pubsub).fileno(), self._fd, inheritable=False)
        self._pubsub = pubsub

    def _drop(self) -> None:
        if self._pubsub is not None:
            with contextlib.suppress(OSError):
                os.dup2(self._silent, self._fd, inheritable=False)
            pubsub, self._pubsub = self._pubsub, None
            with contextlib.suppress(RedisError, OSError):
                pubsub.close()


def _socket_of(pubsub: PubSub) -> socket.socket:
    """What redis-py keeps to itself."""
    found: socket.socket = pubsub.connection._sock  # type: ignore[attr-defined]
    return found
