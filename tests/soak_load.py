"""The parts of the soak (soak.py): who publishes, follows and reads, and the ledger that holds them to each other."""

import collections
import contextlib
import http.client
import itertools
import json
import random
import threading
import time
import uuid
from abc import ABC, abstractmethod
from typing import Any

from tests.followers import KINDS, Follower, Place, SocketFollower, StreamFollower
from tests.raw_http import Closed
from tests.serving import Gateway
from tests.websocket import Ended, Refused, WebSocket

STEADY = [f"steady:{number}" for number in range(4)]
CHURNING = [f"churn:{number}" for number in range(400)]
LOST = (OSError, EOFError, Closed, Ended, Refused, http.client.HTTPException)
PAUSE = 0.005
"""Seconds between what one does and its next, so that the machine has time for others."""


class Ledger:
    """Every acknowledged event of the steady channels, until its witness had it or was told that it is gone."""

    def __init__(self) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        self.failures: list[str] = []
        self._lock = threading.Lock()
        self._acked: dict[tuple[str, str, int], Any] = {}
        self._heard: dict[tuple[str, str, int], Any] = {}

    def count(self, what: str, many: int = 1) -> None:
        with self._lock:
            self.counts[what] += many

    def fail(self, what: str) -> None:
        with self._lock:
            self.failures.append(what)

    def acknowledged(self, channel: str, ack: dict[str, Any], data: Any) -> None:
        if channel in STEADY:
            self._match(self._acked, self._heard, (channel, ack["epoch"], ack["offset"]), data)

    def heard(self, channel: str, epoch: str, offset: int, data: Any) -> None:
        self.count("delivered to witnesses")
        self._match(self._heard, self._acked, (channel, epoch, offset), data)

    def told(self, channel: str, before: tuple[str, int], after: tuple[str, int], reason: str) -> None:
        """The witness was told that what lies between the two positions is gone."""
        with self._lock:
            self.counts[f"gaps: {reason}"] += 1
            for place in [each for each in self._acked if each[0] == channel]:
                _, epoch, offset = place
                is_behind = epoch != before[0] or offset > before[1]
                is_skipped = epoch != after[0] or offset <= after[1]
                if is_behind and is_skipped:
                    del self._acked[place]

    def silent(self) -> list[tuple[str, str, int]]:
        """What was acknowledged, and neither delivered nor told."""
        with self._lock:
            return list(self._acked)

    def _match(self, mine: dict, other: dict, place: tuple[str, str, int], data: Any) -> None:
        with self._lock:
            if place not in other:
                mine[place] = data
            elif (expected := other.pop(place)) != data:
                self.failures.append(f"{place}: {data} in the place of {expected}")


class Worker(threading.Thread, ABC):
    """Does one thing again and again until all are told to stop; a lost connection is what it has to live with."""

    def __init__(self, gateway: Gateway, ledger: Ledger, stop: threading.Event) -> None:
        super().__init__(daemon=True, name=type(self).__name__)
        self.gateway = gateway
        self.ledger = ledger
        self.stop = stop
        self.random = random.Random(uuid.uuid4().int)
        self.numbers = itertools.count()

    def run(self) -> None:
        while not self.stop.wait(PAUSE):
            try:
                self.turn()
            except LOST:
                self.ledger.count("connections lost")
                self.lost()
                self.stop.wait(0.05)
            except Exception as error:
                self.ledger.fail(f"{self.name}: {error!r}")
                return

    @abstractmethod
    def turn(self) -> None: ...

    def lost(self) -> None:
        """The connection is gone."""

    def channel(self) -> str:
        return self.random.choice(STEADY if self.random.random() < 0.5 else CHURNING)

    def data(self) -> str:
        return f"{self.name}-{self.ident}-{next(self.numbers)}-" + "x" * self.random.randrange(200)


class HttpWorker(Worker):
    """One with a kept connection."""

    connection: http.client.HTTPConnection | None = None

    def lost(self) -> None:
        if self.connection:
            self.connection.close()
        self.connection = None

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=20)
        sent = {"X-API-Key": "valid_key_demo", "Content-Type": "application/json", **headers}
        self.connection.request(method, f"/apps/demo/{path}", body and json.dumps(body), sent)
        response = self.connection.getresponse()
        answer = response.read()
        assert response.status == 200, (method, path, response.status, answer)
        return json.loads(answer)


class RestPublisher(HttpWorker):
    """Single events, each under a key and sent until it is acknowledged."""

    pending: tuple[str, str, Any] | None = None

    def turn(self) -> None:
        self.pending = self.pending or (str(uuid.uuid4()), self.channel(), self.data())
        key, channel, data = self.pending
        body = {"type": "message", "data": data}
        ack = self.ask("POST", f"channels/{channel}/publish", body, **{"Idempotency-Key": key})
        self.ledger.acknowledged(channel, ack, data)
        self.ledger.count("acknowledged: REST")
        self.pending = None
        if self.random.random() < 0.05:
            again = self.ask("POST", f"channels/{channel}/publish", body, **{"Idempotency-Key": key})
            assert again == ack, f"{again} is not the first answer, {ack}"
            self.ledger.count("replayed")


class BatchPublisher(HttpWorker):
    """Batches over several channels."""

    def turn(self) -> None:
        events = [{"channel": self.channel(), "type": "message", "data": self.data()} for _ in range(20)]
        acks = self.ask("POST", "publish", {"events": events})["results"]
        for event, ack in zip(events, acks, strict=True):
            self.ledger.acknowledged(event["channel"], ack, event["data"])
        self.ledger.count("acknowledged: batch", len(acks))
        self.stop.wait(0.05)


class SocketPublisher(Worker):
    """Over WebSocket; it joins what it publishes to, and so is told of events that it does not look at."""

    socket: WebSocket | None = None

    def lost(self) -> None:
        if self.socket:
            self.socket.close()
        self.socket = None

    def turn(self) -> None:
        if self.socket is None:
            self.socket = WebSocket(self.gateway.port)
            self.socket.join("steady:0", presence={"key": f"publisher-{self.ident}"})
        data = self.data()
        self.ledger.acknowledged("steady:0", self.socket.publish("steady:0", data), data)
        self.socket.skip()
        self.ledger.count("acknowledged: WebSocket")


class HistoryReader(HttpWorker):
    """Reads pages of history, whose offsets have no holes."""

    def turn(self) -> None:
        limit = self.random.choice((1, 10, 100, 1000))
        page = self.ask("GET", f"channels/{self.channel()}/history?limit={limit}&since={self.random.randrange(50)}")
        offsets = [event["offset"] for event in page["events"]]
        assert all(after == before + 1 for before, after in itertools.pairwise(offsets)), offsets
        self.ledger.count("pages of history")
        self.stop.wait(0.02)


class Member(Worker):
    """Is present for a moment, and is seen."""

    def turn(self) -> None:
        with WebSocket(self.gateway.port) as socket:
            name = f"member-{uuid.uuid4()}"
            socket.join("lobby", presence={"key": name})
            while name not in (message := socket.next("presence_state", "presence_diff")).payload:
                if name in message.payload.get("joins", {}):
                    break
            self.stop.wait(self.random.random())
        self.ledger.count("members came and went")


class Guest(Worker):
    """Follows a channel for a while, from somewhere, and then another one."""

    kinds = KINDS

    def turn(self) -> None:
        kind = self.random.choice(self.kinds)
        follower = kind(self.gateway.port, self.channel(), self.random.choice((None, 0)))
        follower.place = Forgetful()
        follower.follow()
        self.stop.wait(self.random.uniform(0.5, 5))
        with contextlib.suppress(OSError):  # its worker may have been killed
            follower.stop()
        if follower.failure:
            raise follower.failure
        self.ledger.count("guests came and went")


class Forgetful(Place):
    """Holds the subscriber to its promise, and keeps nothing."""

    def take(self, kind: str, payload: dict[str, Any]) -> None:
        super().take(kind, payload)
        self.got.clear()
        self.gaps.clear()


class Witness(Forgetful):
    """One who is there from the first event to the last, and tells the ledger."""

    def __init__(self, channel: str, ledger: Ledger) -> None:
        super().__init__()
        self.channel = channel
        self.ledger = ledger

    def take(self, kind: str, payload: dict[str, Any]) -> None:
        before = (self.epoch, self.offset)
        super().take(kind, payload)
        if kind == "event":
            self.ledger.heard(self.channel, self.epoch, self.offset, payload["data"])
        elif kind == "gap":
            self.ledger.told(self.channel, before, (self.epoch, self.offset), payload["reason"])


def witnesses(gateway: Gateway, ledger: Ledger, sockets: bool) -> list[Follower]:
    """One for each steady channel, following from the beginning."""
    found: list[Follower] = []
    for number, channel in enumerate(STEADY):
        kind = SocketFollower if sockets and number % 2 else StreamFollower
        follower = kind(gateway.port, channel, 0)
        follower.place = Witness(channel, ledger)
        found.append(follower.follow())
    return found


def load(gateway: Gateway, ledger: Ledger, stop: threading.Event, sockets: bool) -> list[Worker]:
    """Everybody else."""
    kinds: list[type[Worker]] = [RestPublisher] * 3 + [BatchPublisher, HistoryReader] + [Guest] * 4
    if sockets:
        kinds += [SocketPublisher, Member]
    workers = [kind(gateway, ledger, stop) for kind in kinds]
    for worker in workers:
        if isinstance(worker, Guest) and not sockets:
            worker.kinds = (StreamFollower,)
        worker.start()
        time.sleep(0.01)
    return workers
