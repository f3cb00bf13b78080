import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from polyglot_gateway import _core
from polyglot_gateway.engine.base import Gap, Page
from polyglot_gateway.engine.embedded import EmbeddedEngine
from polyglot_gateway.errors import InvalidChannel, RateLimited
from polyglot_gateway.realtime.event_stream import EventStream, EventStreams, page_blocks
from polyglot_gateway.realtime.hub import Hub

EPOCH = "0123456789abcdef"


@pytest.fixture
def hub(engine: EmbeddedEngine) -> Iterator[Hub]:
    hub = Hub(engine.follow)
    yield hub
    hub.close()


@pytest.fixture
def streams(engine: EmbeddedEngine, hub: Hub) -> EventStreams:
    return EventStreams(engine, hub)


@pytest.fixture
def publish(engine: EmbeddedEngine) -> Callable[..., str]:
    def send(*data: object, channel: str = "room") -> str:
        for value in data:
            epoch = engine.publish("demo", channel, json.dumps({"type": "t", "data": value}).encode()).epoch
        return epoch

    return send


def ids(stream: EventStream) -> list[str]:
    """The positions in the next bytes of the stream."""
    return [line.removeprefix("id: ") for line in next(stream).decode().splitlines() if line.startswith("id: ")]


def test_a_reader_knows_its_position_before_the_first_event(
    streams: EventStreams, engine: EmbeddedEngine, publish: Callable[..., str]
) -> None:
    epoch = publish(1, 2)
    assert next(streams.open("demo", "room")) == f"retry: 2000\nid: {epoch}:2\n\n".encode()
    never = engine.channel("demo", "never")
    assert next(streams.open("demo", "never")) == f"retry: 2000\nid: {never.epoch}:0\n\n".encode()


def test_what_a_reader_has_taken_is_counted(engine: EmbeddedEngine, hub: Hub, publish: Callable[..., str]) -> None:
    counted: list[tuple[str, int, int]] = []
    streams = EventStreams(engine, hub, count_delivered=lambda *what: counted.append(what))
    stream = streams.open("demo", "room", since=0)
    next(stream)
    publish("a", "b")
    blocks = next(stream)
    assert counted == []  # it may still be on its way
    publish("c")
    next(stream)
    events = blocks.count(b"data: ")
    assert counted[0] == ("demo", events, len(blocks))


def test_what_a_reader_did_not_catch_up_with_has_its_lag_counted(
    engine: EmbeddedEngine, hub: Hub, publish: Callable[..., str]
) -> None:
    lags: list[float] = []
    publish("past")
    began = time.time()
    stream = EventStreams(engine, hub, heartbeat=0.01, count_lag=lags.append).open("demo", "room", since=0)
    next(stream)
    assert b"past" in next(stream)
    assert next(stream) == b":\n\n"
    assert lags == []
    publish({"ts": '"ts":"1970-01-01T00:00:00.000000Z"'})
    while b"1970" not in next(stream):
        pass
    assert lags == []  # it may still be on its way
    next(stream)
    (lag,) = lags
    assert 0 <= lag <= time.time() - began


def test_a_stream_ends_before_the_first_event_that_is_not_allowed(
    streams: EventStreams, publish: Callable[..., str]
) -> None:
    allowed = True
    stream = streams.open("demo", "room", allowed=lambda: allowed)
    next(stream)
    epoch = publish("heard")
    assert ids(stream) == [f"{epoch}:1"]
    allowed = False
    publish("unheard")
    with pytest.raises(StopIteration):
        next(stream)


def test_events_follow_in_order(streams: EventStreams, publish: Callable[..., str]) -> None:
    stream = streams.open("demo", "room")
    next(stream)
    epoch = publish("a")
    assert ids(stream) == [f"{epoch}:1"]
    publish("b", "c")
    seen = ids(stream)
    while len(seen) < 2:
        seen += ids(stream)
    assert seen == [f"{epoch}:2", f"{epoch}:3"]


def test_a_position_resumes(streams: EventStreams, publish: Callable[..., str]) -> None:
    epoch = publish(1, 2, 3)
    for start in (streams.open("demo", "room", epoch, 1), streams.open("demo", "room", "", 1)):
        assert ids(start) == [f"{epoch}:1"]
        assert ids(start) == [f"{epoch}:2", f"{epoch}:3"]


def test_a_long_past_comes_in_pages_without_waiting(streams: EventStreams, publish: Callable[..., str]) -> None:
    publish(*range(50))
    stream = streams.open("demo", "room", "", 0)
    next(stream)
    assert len(ids(stream)) == 50


def test_what_was_overwritten_is_said_before_what_is_left(
    streams: EventStreams, engine: EmbeddedEngine, publish: Callable[..., str]
) -> None:
    epoch = publish(*range(80))
    first = engine.read("demo", "room", 5, epoch).events[0][0]
    stream = streams.open("demo", "room", epoch, 5)
    assert ids(stream) == [f"{epoch}:5"]
    text = next(stream).decode()
    gap = f'event: gap\nid: {epoch}:{first - 1}\ndata: {{"from":6,"to":{first - 1},"reason":"overwritten"}}\n\n'
    assert text.startswith(gap + f"id: {epoch}:{first}\n")
    assert f"id: {epoch}:80\n" in text


def test_a_reader_who_falls_behind_is_told_when_it_reads_on(streams: EventStreams, publish: Callable[..., str]) -> None:
    epoch = publish(1)
    stream = streams.open("demo", "room", epoch, 0)
    next(stream)
    assert ids(stream) == [f"{epoch}:1"]
    publish(*range(100))  # more than the channel keeps, while nobody reads
    text = next(stream).decode()
    assert text.startswith("event: gap\n")
    assert '"from":2,' in text


def test_an_old_epoch_begins_anew(streams: EventStreams, engine: EmbeddedEngine, publish: Callable[..., str]) -> None:
    old = publish(1, 2)
    engine.forget("demo", "room")
    new = publish(3)
    stream = streams.open("demo", "room", old, 2)
    assert ids(stream) == [f"{old}:2"]
    text = next(stream).decode()
    assert text.startswith(
        f'event: gap\nid: {new}:0\ndata: {{"from":0,"to":0,"reason":"epoch_changed"}}\n\nid: {new}:1\n'
    )


def test_forgetting_is_told_to_a_reader_who_is_there(
    streams: EventStreams, engine: EmbeddedEngine, publish: Callable[..., str]
) -> None:
    publish(1)
    stream = streams.open("demo", "room")
    next(stream)
    engine.forget("demo", "room")
    new = publish(2)
    text = next(stream).decode()
    assert '"reason":"epoch_changed"' in text
    assert f"id: {new}:1\n" in text


def test_a_position_beyond_the_end_is_told(streams: EventStreams, publish: Callable[..., str]) -> None:
    epoch = publish(1)
    stream = streams.open("demo", "room", epoch, 9)
    assert ids(stream) == [f"{epoch}:9"]
    assert '"reason":"beyond_end"' in next(stream).decode()


def test_silence_is_broken_by_a_comment(engine: EmbeddedEngine, hub: Hub) -> None:
    stream = EventStreams(engine, hub, heartbeat=0.01).open("demo", "room")
    next(stream)
    assert next(stream) == b":\n\n"
    assert next(stream) == b":\n\n"


def test_a_heartbeat_looks_for_events_too(engine: EmbeddedEngine, publish: Callable[..., str]) -> None:
    class Deaf(Hub):
        """Never wakes anybody."""

        def _run(self, feed: object) -> None: ...

    stream = EventStreams(engine, Deaf(engine.follow), heartbeat=0.01).open("demo", "room")
    next(stream)
    epoch = publish(1)
    while not (seen := ids(stream)):
        pass
    assert seen == [f"{epoch}:1"]


def test_a_reader_who_stalls_is_cut_off(engine: EmbeddedEngine) -> None:
    cut = threading.Event()
    hub = Hub(engine.follow, stalled_seconds=0.0)
    stream = EventStreams(engine, hub).open("demo", "room", cut=cut.set)
    next(iter(stream))  # handed on, and nobody comes back for more
    assert cut.wait(5)
    hub.close()


def test_whoever_comes_while_the_worker_stops_is_told_to_come_again(streams: EventStreams, hub: Hub) -> None:
    hub.drain()
    assert list(streams.open("demo", "room")) == [b"retry: 2000\n\n"]


def test_a_page_is_bounded_in_bytes(streams: EventStreams, publish: Callable[..., str]) -> None:
    publish(*["x" * 30_000] * 12)
    stream = streams.open("demo", "room", "", 0)
    next(iter(stream))
    sizes = []
    seen: list[str] = []
    while len(seen) < 12:
        block = next(iter(stream))
        sizes.append(len(block))
        seen += [line for line in block.decode().splitlines() if line.startswith("id: ")]
    assert max(sizes) < 100_000


def test_draining_ends_a_stream_that_waits(streams: EventStreams, hub: Hub) -> None:
    stream = streams.open("demo", "room")
    next(stream)
    rest: list[bytes] = []
    reader = threading.Thread(target=lambda: rest.extend(stream))
    reader.start()
    hub.drain()
    reader.join(5)
    assert not reader.is_alive()
    assert rest == []


def test_a_closed_engine_ends_the_stream(
    streams: EventStreams, engine: EmbeddedEngine, hub: Hub, publish: Callable[..., str]
) -> None:
    stream = EventStreams(engine, hub, heartbeat=0.01).open("demo", "room")
    next(stream)
    engine.close()
    assert set(stream) <= {b":\n\n"}


def test_closing_frees_the_subscription_also_of_a_stream_never_read(streams: EventStreams, hub: Hub) -> None:
    read, unread = streams.open("demo", "room"), streams.open("demo", "room")
    next(read)
    assert hub.count() == 2
    for stream in (read, unread):
        stream.close()
        stream.close()
    assert hub.count() == 0
    assert list(unread) == []


def test_a_refused_opening_holds_nothing(streams: EventStreams, hub: Hub) -> None:
    with pytest.raises(InvalidChannel):
        streams.open("demo", "not a name")
    assert hub.count() == 0


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_data_with_line_ends_is_split_into_fields(end: bytes) -> None:
    envelope = end.join([b'{"data":{', b'"a":1}', b"}"])
    page = Page(EPOCH, 1, [(1, envelope)], None)
    assert page_blocks(page) == f'id: {EPOCH}:1\ndata: {{"data":{{\ndata: "a":1}}\ndata: }}\n\n'.encode()


def test_a_gap_with_nothing_left_after_it_leads_to_the_page_s_position() -> None:
    page = Page(EPOCH, 9, [], Gap(3, 9, "expired"))
    assert page_blocks(page) == f'event: gap\nid: {EPOCH}:9\ndata: {{"from":3,"to":9,"reason":"expired"}}\n\n'.encode()


def test_an_open_stream_counts_until_it_is_closed(
    engine: EmbeddedEngine, hub: Hub, access: _core.Access, rules: _core.Rules
) -> None:
    limits = _core.Limits()
    limits.add("demo", connections=1, subscriptions=2)
    engine.configure(access, rules, limits)
    streams = EventStreams(engine, hub, hold=engine.gateway.hold)
    used = partial(_used, engine)
    with pytest.raises(InvalidChannel):
        streams.open("demo", "no name")
    assert used() == (0, 0)
    stream = streams.open("demo", "room")
    assert used() == (1, 1)
    with pytest.raises(RateLimited):
        streams.open("demo", "room")
    assert used() == (1, 1)
    stream.close()
    assert used() == (0, 0)
    limits.add("demo", connections=5, subscriptions=1)
    engine.configure(access, rules, limits)
    stream = streams.open("demo", "room")
    with pytest.raises(RateLimited):
        streams.open("demo", "room")
    assert used() == (1, 1)  # the connection of the refused one does not stay
    stream.close()


def _used(engine: EmbeddedEngine) -> tuple[int, int]:
    limits = json.loads(engine.limits("demo"))
    return limits["connections"]["used"], limits["subscriptions"]["used"]
