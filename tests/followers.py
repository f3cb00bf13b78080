"""Subscribers that hold the gateway to its promise: every event once, in order, or a gap that says what is missing."""

import abc
import http.client
import json
import threading
import time
from collections.abc import Callable
from typing import Any, Self

from tests.raw_http import PATIENCE, Closed, RawConnection
from tests.serving import Stream, wait_until
from tests.websocket import Ended, Refused, WebSocket


class Publisher(RawConnection):
    """Publishes over one connection; `sent` has the data of each event by its offset."""

    def __init__(self, port: int, app: str = "demo") -> None:
        super().__init__(port)
        self.app = app
        self.sent: dict[int, Any] = {}

    def post(self, path: str, body: Any, method: str = "POST") -> Any:
        data = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} /apps/{self.app}/{path} HTTP/1.1\r\nHost: a\r\nX-API-Key: valid_key_{self.app}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        answer = self.send(head.encode() + data).answer()
        assert answer.status in (200, 204), answer
        return answer.json() if answer.body else None

    def publish(self, channel: str, data: Any) -> dict[str, Any]:
        ack = self.post(f"channels/{channel}/publish", {"type": "message", "data": data})
        self.sent[ack["offset"]] = data
        return ack

    def batch(self, channel: str, many: list[Any]) -> None:
        events = [{"channel": channel, "type": "message", "data": data} for data in many]
        acks = self.post("publish", {"events": events})["results"]
        self.sent.update({ack["offset"]: data for ack, data in zip(acks, many, strict=True)})

    def forget(self, channel: str) -> None:
        self.post(f"channels/{channel}/history", None, "DELETE")


class Place:
    """Where a subscriber stands in a channel, and what it has had."""

    def __init__(self) -> None:
        self.epoch = ""
        self.offset = 0
        self.got: dict[tuple[str, int], Any] = {}
        self.gaps: list[dict[str, Any]] = []

    @property
    def data(self) -> list[Any]:
        return list(self.got.values())

    def take(self, kind: str, payload: dict[str, Any]) -> None:
        """Take an event, a gap, or the news of an epoch, as sockets get them."""
        if kind == "epoch":
            self.epoch = payload["epoch"]
        elif kind == "gap":
            if payload["epoch"] == self.epoch:
                assert (payload["from"], payload["offset"] >= payload["to"]) == (self.offset + 1, True), payload
            self.gaps.append(payload)
            self.epoch, self.offset = payload["epoch"], payload["offset"]
        else:
            assert kind == "event", kind
            assert payload["offset"] == self.offset + 1, f"{payload['offset']} after {self.offset}"
            self.offset += 1
            self.got[self.epoch, self.offset] = payload["data"]

    def take_block(self, stream: Stream) -> None:
        """Take the next block of server-sent events, whose id is the position behind it."""
        kind, payload = stream.next()
        epoch, _, offset = stream.last_id.partition(":")
        if kind == "gap":
            self.take("gap", {**payload, "epoch": epoch, "offset": int(offset)})
            return
        if self.offset == 0 and payload["offset"] == 1:
            self.epoch = epoch  # the first of a channel that had no past
        assert (epoch, int(offset)) == (self.epoch, payload["offset"])
        self.take("event", payload)


class Follower(threading.Thread, abc.ABC):
    """Follows one channel, from `since` on, until it is told to stop; comes back whenever it is cut off."""

    def __init__(self, port: int, channel: str, since: int | None = None, epoch: str = "") -> None:
        super().__init__(daemon=True)
        self.port = port
        self.channel = channel
        self.place = Place()
        self.place.epoch = epoch
        self.place.offset = since or 0
        self.since = since
        self.returns = -1
        self.failure: BaseException | None = None
        self.stopped = threading.Event()
        self.connection: Any = None

    def follow(self) -> Self:
        """Connect, and read from then on."""
        self._connect()
        self.start()
        return self

    def run(self) -> None:
        try:
            while not self.stopped.is_set():
                try:
                    self._read()
                except (EOFError, Closed, Ended, OSError, http.client.HTTPException):
                    if not self.stopped.is_set():
                        self._come_back()
        except BaseException as failure:
            self.failure = failure

    def wait_for(self, offset: int) -> None:
        wait_until(lambda: self.failure or self.place.offset >= offset, f"{self} to have had {offset}")
        if self.failure:
            raise self.failure

    def stop(self) -> None:
        self.stopped.set()
        self.connection.socket.shutdown(2)
        self.join(PATIENCE)
        self.connection.close()
        if self.failure:
            raise self.failure

    def _come_back(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self._connect()
                return
            except (OSError, Closed, Ended, Refused, http.client.HTTPException):
                assert time.monotonic() < deadline, "the gateway takes no connection"
                time.sleep(0.01)

    @abc.abstractmethod
    def _connect(self) -> None:
        """Subscribe again from where it stands."""

    @abc.abstractmethod
    def _read(self) -> None:
        """Wait for the next message and take it."""


class SocketFollower(Follower):
    """Follows over WebSocket."""

    def _connect(self) -> None:
        self.connection = WebSocket(self.port)
        asked: dict[str, Any] = {}
        if self.since is not None or self.returns >= 0:
            asked = {"since": self.place.offset, **({"epoch": self.place.epoch} if self.place.epoch else {})}
        reply = self.connection.join(self.channel, **asked)
        self.returns += 1
        if not asked:
            self.place.offset = reply["offset"]
        if not self.place.epoch:
            self.place.epoch = reply["epoch"]

    def _read(self) -> None:
        message = self.connection.next("event", "gap", "epoch")
        assert message.topic == self.channel
        self.place.take(message.event, message.payload)


class StreamFollower(Follower):
    """Follows by server-sent events."""

    def _connect(self) -> None:
        last = f"{self.place.epoch}:{self.place.offset}" if self.place.epoch else ""
        query = "" if last or self.since is None else f"?since={self.since}"
        self.connection = Stream(self.port, f"/apps/demo/channels/{self.channel}/events{query}", last)
        assert self.connection.response.status == 200
        self.returns += 1
        if not last:
            self.place.epoch, offset = self._position()
            self.place.offset = int(offset)

    def _position(self) -> list[str]:
        while not (line := self.connection.response.readline().decode()).startswith("id: "):
            assert line, "the stream ended"
        return line.removeprefix("id: ").strip().split(":")

    def _read(self) -> None:
        self.place.take_block(self.connection)


KINDS: tuple[Callable[..., Follower], ...] = (SocketFollower, StreamFollower)
