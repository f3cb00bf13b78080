"""Workers whose history follows a Redis, and who reads it; and what they may meet, at random."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from tests.redis_server import RedisServer
from tests.serving import wait_until

from polyglot_gateway import _core
from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.engine.redis import RedisEngine
from polyglot_gateway.errors import GatewayError

PATIENCE = 10.0
KEEP = 2000
"""Most events of a channel that Redis keeps here; and the histories have room for more."""
CHANNELS = ("room", "hall")
SIZES = {"history_size": 2 * KEEP, "history_bytes": 4 << 20, "max_channels": 16}


class Worker:
    """A mirror at work, and the history that it keeps; publishes, too."""

    def __init__(self, url: str, folder: Path, keep: int = KEEP, **sizes: int) -> None:
        local = EmbeddedEngine(str(folder), **{**SIZES, **sizes})
        local.configure(_core.Access(development=True), _core.Rules(_core.ChannelRule(max_event_bytes=1 << 20)))
        self.engine = RedisEngine(local, url, history_size=keep)
        self.here = self.engine.gateway
        self.mirror = self.engine.mirror()
        self._thread = threading.Thread(target=self.mirror.run, daemon=True)
        self._thread.start()

    def publish(self, *data: Any, channel: str = "room") -> None:
        """Up to 1000 at a time."""
        for begin in range(0, len(data), 1000):
            events = [{"channel": channel, "type": "t", "data": one} for one in data[begin : begin + 1000]]
            results = json.loads(self.engine.publish_batch("demo", json.dumps({"events": events}).encode()))["results"]
            assert all("offset" in result for result in results), results

    def ask(
        self, channel: str = "room", since: int | None = None, epoch: str = ""
    ) -> Callable[[], GatewayError | None]:
        """Follow; what is returned waits for the answer."""
        answers: queue.Queue[GatewayError | None] = queue.Queue()
        self.mirror.follow("demo", channel, since, epoch, answers.put)
        return lambda: answers.get(timeout=PATIENCE)

    def follow(self, channel: str = "room", since: int | None = None, epoch: str = "") -> None:
        """Follow, and wait until the history has it."""
        assert self.ask(channel, since, epoch)() is None

    def stands(self, channel: str = "room") -> tuple[str, int]:
        """Epoch and offset of the history."""
        state = self.here.replicated("demo", channel)
        return state.epoch, state.last_offset

    def kept(self, channel: str = "room") -> list[Any]:
        """The data of all events in the history."""
        reader = Reader(self, channel, ("", 0))
        reader.read_on()
        return [data for _, _, data in reader.seen]

    def wait_for(self, last: Any, channel: str = "room") -> None:
        """Return when the newest event here has this data."""
        wait_until(lambda: self.kept(channel)[-1:] == [last], f"{last} in {channel}")

    def close(self) -> None:
        self.mirror.stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self.engine.close()


class Reader:
    """Reads the history of a worker from position to position, as its subscribers do.

    Attributes:
        seen: (epoch, offset, data) of each event.
        gaps: Why something was missing, each time that it was.
    """

    def __init__(self, worker: Worker, channel: str, position: tuple[str, int]) -> None:
        self._worker = worker
        self._channel = channel
        self.epoch, self.offset = position
        self.seen: list[tuple[str, int, Any]] = []
        self.gaps: list[str] = []

    def read_on(self) -> None:
        """Read all that is there; fails at a hole that nobody tells."""
        while True:
            page = self._worker.here.read("demo", self._channel, self.offset, self.epoch, 1000)
            expected = self.offset + 1
            if page.gap is not None:
                self.gaps.append(page.gap.reason)
                if page.gap.to_offset:
                    assert page.gap.from_offset == expected
                    expected = page.gap.to_offset + 1
                elif page.events:
                    expected = page.events[0][0]
            elif self.epoch:
                assert page.epoch == self.epoch
            for offset, envelope in page.events:
                assert offset == expected
                expected += 1
                event = json.loads(envelope)
                assert event["offset"] == offset
                self.seen.append((page.epoch, offset, event["data"]))
            self.epoch, self.offset = page.epoch, page.offset
            if page.gap is None and not page.events:
                return


def cut(redis: RedisServer) -> None:
    """All subscriptions."""
    redis.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")


class Machine(RuleBasedStateMachine):
    """Two workers of one host and one of another follow what a publisher does, and subscribers read what they have."""

    def __init__(self, redis: RedisServer, folder: Path) -> None:
        super().__init__()
        self.redis = redis
        redis.client.flushall()
        self.publisher = Worker(redis.url, folder / "publisher", keep=100)
        hosts = ("one", "one", "other")
        self.workers = [Worker(redis.url, folder / host, keep=100) for host in hosts]
        self.followed: set[tuple[int, str]] = set()
        self.readers: list[tuple[int, str, Reader]] = []
        self.epochs: dict[str, list[str]] = {channel: [] for channel in CHANNELS}
        self.published: dict[tuple[str, str], list[int]] = {}
        self.number = 0

    def teardown(self) -> None:
        try:
            for channel in CHANNELS:
                # Whoever missed the last word hears of it now.
                self.publish(channel, [1])
            self.all_is_seen()
        finally:
            for worker in (self.publisher, *self.workers):
                worker.close()

    def epoch_of(self, channel: str) -> str:
        epoch = self.publisher.engine.channel("demo", channel).epoch
        if self.epochs[channel][-1:] != [epoch]:
            assert epoch not in self.epochs[channel]
            self.epochs[channel].append(epoch)
        return epoch

    def events_of(self, channel: str) -> list[int]:
        """Of the present epoch, from its first event on."""
        return self.published.setdefault((channel, self.epoch_of(channel)), [])

    @rule(channel=st.sampled_from(CHANNELS), batches=st.lists(st.integers(1, 150), min_size=1, max_size=3))
    def publish(self, channel: str, batches: list[int]) -> None:
        events = self.events_of(channel)
        for size in batches:
            new = range(self.number, self.number + size)
            self.number += size
            events += new
            self.publisher.publish(*new, channel=channel)

    @rule(channel=st.sampled_from(CHANNELS))
    def forget(self, channel: str) -> None:
        self.events_of(channel)
        self.publisher.engine.forget("demo", channel)

    @rule()
    def flush(self) -> None:
        self.redis.client.flushall()

    @rule()
    def cut(self) -> None:
        cut(self.redis)

    @rule(
        number=st.integers(0, 2), channel=st.sampled_from(CHANNELS),
        since=st.none() | st.integers(0, 500), age=st.none() | st.integers(0, 3),
    )  # fmt: skip
    def follow(self, number: int, channel: str, since: int | None, age: int | None) -> None:
        worker = self.workers[number]
        events = self.events_of(channel)
        present = self.epoch_of(channel)
        epoch = "" if age is None else self.epochs[channel][-1 - min(age, len(self.epochs[channel]) - 1)]
        worker.follow(channel, since, epoch)
        self.followed.add((number, channel))
        assert worker.stands(channel) == (present, len(events))
        if since is None:
            reader = Reader(worker, channel, (present, len(events)))
        else:
            reader = Reader(worker, channel, (epoch or present, since))
            reader.read_on()
            means_something = epoch in ("", present) and since <= len(events)
            wanted = min(100, len(events) - since if means_something else len(events))
            seen = [data for _, _, data in reader.seen]
            assert seen == events[len(events) - len(seen) :]
            assert len(seen) >= wanted
        self.readers.append((number, channel, reader))

    @precondition(lambda self: self.followed)
    @rule(data=st.data())
    def unfollow(self, data: st.DataObject) -> None:
        number, channel = data.draw(st.sampled_from(sorted(self.followed)))
        self.followed.discard((number, channel))
        self.workers[number].mirror.unfollow("demo", channel)
        self.readers = [reader for reader in self.readers if reader[:2] != (number, channel)]

    @rule()
    def read(self) -> None:
        for _, _, reader in self.readers:
            reader.read_on()

    @rule()
    def all_is_seen(self) -> None:
        for number, channel, reader in self.readers:
            place = (self.epoch_of(channel), len(self.events_of(channel)))
            # Nobody tells of a flush, but the next event does.
            if place[1] == 0:
                continue
            wait_until(lambda at=(number, channel), to=place: self.workers[at[0]].stands(at[1]) == to, "all to be here")
            reader.read_on()
            assert (reader.epoch, reader.offset) == place
            for epoch, offset, data in reader.seen:
                assert self.published[channel, epoch][offset - 1] == data
