"""What Redis tells of channels that are watched: each has a shard channel of its own, named as its stream."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Iterable
from contextlib import suppress

import hiredis
from gevent.monkey import get_original
from redis.exceptions import MovedError, RedisError, TimeoutError

from polyglot_gateway.engine.redis_keys import RedisKeys
from polyglot_gateway.engine.redis_link import MOST_TRIES, RedisLink
from polyglot_gateway.engine.redis_nodes import ANSWER_SECONDS, REST_SECONDS, Node
from polyglot_gateway.engine.redis_subscriber import Listen, Subscriber
from polyglot_gateway.errors import EngineUnavailable

MOST_MESSAGES = 1000
"""After so many, one take reads no further."""
CHECK_SECONDS = 1.0
"""A poll looks for dead connections when nobody has done so for so long."""

_SUBSCRIBE, _UNSUBSCRIBE = b"SSUBSCRIBE", b"SUNSUBSCRIBE"


class _Watched:
    """A channel that is watched.

    Attributes:
        key: App and channel.
        watchers: How many watch it.
        subscriber: Over which it is heard, or was asked to be; None while there is none.
        late: Something may have been said before it is heard.
        refusal: Why Redis did not let it be heard.
    """

    __slots__ = ("key", "late", "refusal", "subscriber", "watchers")

    def __init__(self, key: tuple[str, str]) -> None:
        self.key = key
        self.watchers = 0
        self.subscriber: Subscriber | None = None
        self.late = False
        self.refusal = ""


class RedisFeed:
    """Subscriptions to the channels that are watched, made again whenever they were lost. Thread safe.

    What Redis said while there was no subscription is lost, and the feed says so when there is one again.
    """

    def __init__(self, link: RedisLink, keys: RedisKeys, listen: Listen | None = None) -> None:
        """Begin by watching nothing; Redis is first asked when something is watched.

        What `listen` takes over into the history is not told.
        """
        self._listen = listen
        self._link = link
        self._keys = keys
        self._lock = threading.Lock()
        self._watched: dict[bytes, _Watched] = {}  # by the name of the shard channel
        self._unheard: set[bytes] = set()  # those without a subscriber
        self._subscribers: dict[Node, Subscriber] = {}
        self._messages: list[tuple[str, str, bytes]] = []
        self._missed = False
        self._rests_until = 0.0
        self._checked = 0.0
        # One descriptor for all connections. gevent takes epoll away because it blocks; nobody waits in it here.
        self._ready = get_original("select", "epoll")()
        self._more = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)  # readable when something was read and not taken
        self._ready.register(self._more, select.EPOLLIN)

    def fileno(self) -> int:
        """See `Feed`."""
        found: int = self._ready.fileno()
        return found

    def watch(self, app: str, channel: str) -> None:
        """See `Feed`.

        Raises:
            EngineUnavailable: Redis forbids it, or the link is closed.
        """
        name = self._keys.stream(app, channel).encode()
        with self._lock:
            self._link.check_open()
            watched = self._watched.get(name)
            if watched is None:
                watched = self._watched[name] = _Watched((app, channel))
                try:
                    self._begin(name, watched)
                except BaseException:
                    self._forget(name)
                    raise
            watched.watchers += 1

    def unwatch(self, app: str, channel: str) -> None:
        """See `Feed`."""
        name = self._keys.stream(app, channel).encode()
        with self._lock:
            watched = self._watched.get(name)
            if watched is None:
                return
            watched.watchers -= 1
            if watched.watchers == 0:
                self._forget(name)

    def poll(self) -> tuple[list[tuple[str, str]], bool]:
        """See `Feed`. Whatever was acknowledged before is told."""
        messages, missed = self.take()
        # One connection may be dead while there is always something from another.
        if (not messages and not missed) or time.monotonic() - self._checked >= CHECK_SECONDS:
            self.check()
            more, missed_more = self.take()
            messages, missed = messages + more, missed or missed_more
        return list(dict.fromkeys((app, channel) for app, channel, _ in messages)), missed

    def take(self) -> tuple[list[tuple[str, str, bytes]], bool]:
        """What has come: (app, channel, payload) of each message in order, and whether some were missed.

        An empty payload says that there is news, and not which. Never waits for Redis but to connect again.
        """
        with self._lock:
            self._link.check_open()
            with suppress(BlockingIOError):
                os.eventfd_read(self._more)
            for subscriber in list(self._subscribers.values()):
                self._read_or_drop(subscriber)
            self._restore()
            messages, self._messages = self._messages, []
            missed, self._missed = self._missed, False
        return messages, missed

    def check(self) -> None:
        """Wait until the next take has whatever was acknowledged before; finds connections that are dead."""
        with self._lock:
            self._link.check_open()
            self._checked = time.monotonic()
            masters = self._link.nodes.masters()
            for subscriber in list(self._subscribers.values()):
                # One that is a replica now still tells, but what was acknowledged it may tell much later.
                if subscriber.node not in masters:
                    self._drop(subscriber)
            self._restore()
            # Redis answers in order: behind the answer to this there is nothing older.
            asked = list(self._subscribers.values())
            for subscriber in asked:
                self._ask_or_drop(subscriber, b"PING", [b""])
            for subscriber in asked:
                self._settle(subscriber)

    def close(self) -> None:
        """Let go of everything. Idempotent."""
        with self._lock:
            for subscriber in list(self._subscribers.values()):
                self._drop(subscriber)
            if self._more >= 0:
                self._ready.close()
                os.close(self._more)
                self._more = -1

    def __del__(self) -> None:
        self.close()

    def _begin(self, name: bytes, watched: _Watched) -> None:
        """Hear of the channel from now on; where that is not possible now, it is late."""
        self._unheard.add(name)
        for _ in range(MOST_TRIES):  # a node may send us to another
            self._subscribe([name])
            if watched.subscriber is None:
                break
            self._settle(watched.subscriber)
            if watched.refusal:
                raise EngineUnavailable(watched.refusal)
            if watched.subscriber is not None:
                return
            watched.late = False  # until it is watched there is nothing to miss
        watched.late = True

    def _forget(self, name: bytes) -> None:
        subscriber = self._watched.pop(name).subscriber
        self._unheard.discard(name)
        if subscriber:
            self._ask_or_drop(subscriber, _UNSUBSCRIBE, [name])

    def _restore(self) -> None:
        if self._unheard and time.monotonic() >= self._rests_until:
            self._subscribe(list(self._unheard))

    def _subscribe(self, names: Iterable[bytes]) -> None:
        """Ask for what is unheard, as far as Redis answers."""
        of_nodes: dict[Node, list[bytes]] = {}
        for name in names:
            with suppress(EngineUnavailable):
                of_nodes.setdefault(self._link.nodes.of(name), []).append(name)
        for node, of_node in of_nodes.items():
            subscriber = self._subscribers.get(node)
            if subscriber is None:
                try:
                    subscriber = self._subscribers[node] = Subscriber(node, self._listen)
                except EngineUnavailable:
                    continue
                self._ready.register(subscriber.fileno(), select.EPOLLIN)
            for name in of_node:
                self._watched[name].subscriber = subscriber
                self._unheard.discard(name)
            self._ask_or_drop(subscriber, _SUBSCRIBE, of_node)

    def _ask_or_drop(self, subscriber: Subscriber, verb: bytes, names: list[bytes]) -> None:
        try:
            subscriber.ask(verb, names)
        except RedisError:
            self._drop(subscriber)

    def _settle(self, subscriber: Subscriber) -> None:
        """Read until all that was asked is answered, or drop the connection."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while subscriber.node in self._subscribers:
            self._read_or_drop(subscriber)
            if not subscriber.awaited:
                break
            if not subscriber.wait(deadline - time.monotonic()):
                subscriber.node.failed(TimeoutError("no answer"))
                self._drop(subscriber)
        if self._messages or self._missed:
            os.eventfd_write(self._more, 1)

    def _read_or_drop(self, subscriber: Subscriber) -> None:
        try:
            while (replies := subscriber.read()) is not None:
                for reply in replies:
                    if type(reply) is list and reply[0] == b"smessage":
                        watched = self._watched.get(reply[1])
                        if watched is not None:
                            self._messages.append((*watched.key, reply[2]))
                    else:
                        self._take_answer(subscriber, reply)
                if len(self._messages) >= MOST_MESSAGES and not subscriber.awaited:
                    os.eventfd_write(self._more, 1)
                    return
        except RedisError:
            self._drop(subscriber)

    def _take_answer(self, subscriber: Subscriber, reply: object) -> None:
        told = reply[1] if isinstance(reply, list) and reply[0] == b"sunsubscribe" else None
        if told is not None and (not subscriber.awaited or subscriber.awaited[0] != (_UNSUBSCRIBE, told)):
            self._lose(told, subscriber)  # Redis did that by itself
            return
        verb, name = subscriber.awaited.popleft()
        watched = self._watched.get(name)
        if verb != _SUBSCRIBE or watched is None or watched.subscriber is not subscriber:
            return
        if isinstance(reply, hiredis.ReplyError):
            kind, _, said = str(reply).partition(" ")
            self._lose(name, subscriber)
            if kind == "MOVED" and self._link.nodes.moved(MovedError(said), subscriber.node):
                return
            self._rests_until = time.monotonic() + REST_SECONDS
            if kind == "CLUSTERDOWN":
                self._link.nodes.doubt()
            else:
                watched.refusal = f"Redis refuses: {reply}."
        elif watched.late:
            watched.late = False
            self._missed = True

    def _lose(self, name: bytes, subscriber: Subscriber) -> None:
        watched = self._watched.get(name)
        if watched is not None and watched.subscriber is subscriber:
            watched.subscriber = None
            watched.late = True
            self._unheard.add(name)

    def _drop(self, subscriber: Subscriber) -> None:
        """Close a connection; all that was heard over it is unheard now."""
        if self._subscribers.get(subscriber.node) is not subscriber:
            return
        del self._subscribers[subscriber.node]
        with suppress(OSError):
            self._ready.unregister(subscriber.fileno())
        subscriber.close()
        for name in [name for name, watched in self._watched.items() if watched.subscriber is subscriber]:
            self._lose(name, subscriber)
