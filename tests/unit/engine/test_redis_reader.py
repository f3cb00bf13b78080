import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.redis_server import RedisServer

from polyglot_gateway import _core
from polyglot_gateway.engine.base import Gap
from polyglot_gateway.engine.redis_keys import RedisKeys
from polyglot_gateway.engine.redis_link import LIBRARY, RedisLink
from polyglot_gateway.engine.redis_reader import ALL, Query, RedisReader
from polyglot_gateway.errors import EngineUnavailable

KEEP = 150
"""Most events of a channel that Redis keeps here."""
HOUR = 3600
OTHER_EPOCH = "0123456789abcdef"


class Event(NamedTuple):
    hour: int
    """When it was published."""
    envelope: bytes
    """Up to its offset."""


texts = st.text(alphabet="ab 0123456789\n:", max_size=12)
entries = st.tuples(st.integers(1, 64) | st.integers(1, 4), texts, st.integers(0, 1), st.integers(0, 64))
"""How many events it has, what they say, and how many of them come so many hours later than the entry before."""
calls = st.lists(st.lists(entries, min_size=1, max_size=20), max_size=4)
"""Of `append`."""
places = st.none() | st.integers(0, 300)
queries = st.tuples(
    places,
    places,
    st.sampled_from(["", "present", OTHER_EPOCH]),
    st.integers(0, 70) | st.just(1000),
    st.booleans(),
    st.integers(1, 90) | st.just(ALL),
    st.integers(0, 5),
)


class Channel:
    """A channel of which a plain list knows everything."""

    def __init__(self, link: RedisLink, reader: RedisReader) -> None:
        self._link = link
        self._reader = reader
        self.events: list[Event] = []
        self.epoch = reader.forget("demo", "room")
        self._begin = int(time.time() * 1e6) - 100 * HOUR * 1_000_000

    def time_of(self, hour: float) -> int:
        return self._begin + int(hour * HOUR * 1e6)

    def append(self, *entries: tuple[int, str, int, int]) -> None:
        arguments: list[Any] = []
        for count, text, hours, late in entries:
            before = self.events[-1].hour if self.events else 0
            new = [
                Event(
                    before + (hours if count - number <= late else 0),
                    b'{"say":"%s%d","offset":' % (text.encode(), number),
                )
                for number in range(count)
            ]
            self.events += new
            block = b"".join(b"%d %d\n%s" % (self.time_of(one.hour), len(one.envelope), one.envelope) for one in new)
            arguments += [count, self.time_of(new[-1].hour), block]
        self._link.ask(
            "FCALL", f"{LIBRARY}_append", 1, "p:{demo:room}", 1, KEEP, 60_000, 60_000, len(entries), *arguments
        )

    def expect(self, query: Query, oldest_hour: int) -> tuple[int, Gap | None, list[tuple[int, bytes]]]:
        """The first offset that counts, the gap, and the events."""
        last = len(self.events)
        offsets = range(1, last + 1)
        sized = [offset for offset in offsets if offset > last - min(query.size, KEEP)]
        counted = [offset for offset in sized if self.events[offset - 1].hour >= oldest_hour]
        first = counted[0] if counted else last + 1
        gap = None
        wanted = counted
        if query.since is not None:
            if query.epoch not in ("", self.epoch):
                gap = Gap(0, 0, "epoch_changed")
            elif query.since > last:
                gap = Gap(0, 0, "beyond_end")
            elif query.since + 1 < first:
                gap = Gap(query.since + 1, first - 1, "expired" if len(counted) < len(sized) else "overwritten")
            else:
                wanted = [offset for offset in counted if offset > query.since]
        if query.until is not None:
            wanted = [offset for offset in wanted if offset <= query.until]
        oldest_first = query.since is not None and not query.reverse
        wanted = wanted[: query.limit] if oldest_first else wanted[max(0, len(wanted) - query.limit) :]
        found = [(offset, self.events[offset - 1].envelope + b"%d}" % offset) for offset in wanted]
        return first, gap, found[::-1] if query.reverse else found


@pytest.fixture
def reader(link: RedisLink, tmp_path: Path) -> Iterator[RedisReader]:
    gateway = _core.Gateway(str(tmp_path / "data"), history_bytes=1 << 20, max_channels=10)
    layout = _core.RedisLayout(prefix="p", function=f"{LIBRARY}_append", history_size=KEEP, keep_ms=60_000)
    yield RedisReader(link, RedisKeys("p"), gateway, layout)
    gateway.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=calls, asked=st.lists(queries, min_size=1, max_size=20))
def test_any_part_of_a_channel_is_what_a_plain_list_says(
    link: RedisLink, reader: RedisReader, calls: list[Any], asked: list[Any]
) -> None:
    channel = Channel(link, reader)
    for call in calls:
        channel.append(*call)
    for since, until, epoch, limit, reverse, size, oldest_hour in asked:
        # A little before the hour counts from the hour on.
        ttl = time.time() - channel.time_of(oldest_hour - 0.5) / 1e6 if oldest_hour else 0.0
        named = channel.epoch if epoch == "present" else epoch
        query = Query(since, until, named, limit, reverse, size, ttl)
        first, gap, events = channel.expect(query, oldest_hour)
        answer, found = reader.read("demo", "room", query)
        newest_us = channel.time_of(channel.events[-1].hour) if first <= len(channel.events) else 0
        assert answer[:5] == (channel.epoch, len(channel.events), newest_us, first, gap)
        assert found == events


def test_many_small_entries_are_read_whole(link: RedisLink, reader: RedisReader) -> None:
    channel = Channel(link, reader)
    for _ in range(KEEP):
        channel.append((1, "small", 0, 0))
    _, events = reader.read("demo", "room", Query(0, limit=1000))
    assert [offset for offset, _ in events] == list(range(1, KEEP + 1))


def test_many_are_asked_at_once_and_each_answer_is_of_its_own(link: RedisLink, reader: RedisReader) -> None:
    for number in range(5):
        reader.forget("demo", f"room:{number}")
    answers = reader.read_all([("demo", f"room:{number % 7}", Query()) for number in range(20)])
    assert [answer.epoch for answer in answers[:7]] == [answer.epoch for answer in answers[7:14]]
    assert len({answer.epoch for answer in answers}) == 7


def test_a_channel_that_is_refused_is_said_to_be(redis: RedisServer, reader: RedisReader) -> None:
    redis.client.set("p:{demo:room}", "no stream")
    with pytest.raises(EngineUnavailable, match="WRONGTYPE"):
        reader.read("demo", "room", Query())


def test_to_ask_for_an_empty_channel_begins_it(redis: RedisServer, reader: RedisReader) -> None:
    begun = reader.stand("demo", "room")
    assert (begun.last, begun.first, begun.events) == (0, 1, b"%d 1 0\n" % int(begun.epoch, 16))
    assert reader.stand("demo", "room") == begun
    assert 0 < redis.client.pttl("p:{demo:room}") <= 60_000
    assert reader.peek("demo", ["room", "nowhere"]) == [begun, None]


def test_what_is_left_of_a_reign_that_ended_begins_an_epoch(link: RedisLink, reader: RedisReader) -> None:
    channel = Channel(link, reader)
    channel.append((3, "left", 0, 0))
    link.ask("FUNCTION", "FLUSH")  # as a Redis that starts again, it names a new one
    answer, events = reader.read("demo", "room", Query(3, epoch=channel.epoch, limit=10))
    assert answer.epoch != channel.epoch
    assert (answer.gap, answer.last, len(events)) == (Gap(0, 0, "epoch_changed"), 3, 3)
    assert reader.stand("demo", "room").epoch == answer.epoch


def test_columns_are_of_what_the_query_leaves(link: RedisLink, reader: RedisReader) -> None:
    channel = Channel(link, reader)
    channel.append((3, "old", 0, 0))
    channel.append((3, "new", 1, 3))
    whole = reader.columns("demo", "room", [], Query())
    assert (whole.offsets.tolist(), whole.begin) == ([1, 2, 3, 4, 5, 6], 0)
    assert whole.sizes.tolist() == [len(envelope) for _, envelope in reader.read("demo", "room", Query(0, limit=9))[1]]
    newest = reader.columns("demo", "room", [], Query(size=2))
    assert (newest.offsets.tolist(), newest.begin) == ([5, 6], newest.times[0])
    nothing = reader.columns("demo", "room", [], Query(ttl=1.0))
    assert nothing.offsets.tolist() == []
    assert 0 <= nothing.begin - (nothing.read_at - 1_000_000) < 1_000_000


def test_what_is_no_replica_makes_no_columns() -> None:
    with pytest.raises(ValueError, match="no replica"):
        _core.replica_columns("demo", "room", [], [b"7 1 0\n", b"7 1 1\n"], overwritten=False, not_before=0, read_at=1)


def test_envelopes_of_another_hand_have_no_numbers() -> None:
    envelopes = [b'{"id":1,"data":5,"offset":', b'{"data":{"a":1},"offset":']
    page = b"7 4 2\n" + b"".join(b"9 %d\n%s" % (len(envelope), envelope) for envelope in envelopes)
    columns = _core.replica_columns("demo", "room", ["", "/a"], [page], overwritten=True, not_before=0, read_at=99)
    assert (columns.epoch, columns.offsets.tolist(), columns.begin) == (f"{7:016x}", [4, 5], 9)
    assert columns.sizes.tolist() == [len(envelope) + 2 for envelope in envelopes]
    assert all(np.isnan(numbers).all() for numbers in columns.fields.values())
