"""Acknowledgement: an event whose publish has returned is there for every process, and outlives its publisher."""

import json
import re
import signal
from datetime import UTC, datetime, timedelta

import pytest

PUBLISH_FOR_EVER = """
import itertools
for n in itertools.count():
    ack = engine.publish("demo", "room", b'{"type":"message","data":%d}' % n)
    print(ack.offset, ack.id, flush=True)
"""
BATCH_FOR_EVER = """
import itertools, json
for n in itertools.count():
    events = [{"channel": "room", "type": "message", "data": [n, i]} for i in range(7)]
    for result in json.loads(engine.publish_batch("demo", json.dumps({"events": events}).encode()))["results"]:
        print(result["offset"], result["id"])
    print(end="", flush=True)
"""
READ_ALL = """
print(engine.history("demo", "room", 1000).decode(), flush=True)
"""


def test_an_acknowledged_event_is_there_for_every_opener_at_once(engine, engine_factory, say):
    openers = [engine, *(engine_factory() for _ in range(3))]
    for n in range(12):
        ack = say.publish(openers[n % 4], "room", n)[0]
        for reader in openers:
            assert json.loads(reader.read("demo", "room", ack.offset - 1, ack.epoch).events[0][1])["id"] == ack.id
            assert json.loads(reader.history("demo", "room", 1))["events"][0]["id"] == ack.id
            assert reader.channel("demo", "room").last_offset == ack.offset


def test_an_acknowledged_event_is_there_for_another_process(engine, spawn, say):
    say.publish(engine, "room", *"abc")
    reply = json.loads(spawn(READ_ALL).communicate()[0])
    assert reply == say.history(engine, "room")
    assert [event["data"] for event in reply["events"]] == ["a", "b", "c"]


def test_the_answer_says_what_was_kept(engine, other, say):
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    ack = engine.publish("demo", "room", say.body({"text": "Hello"}, "greeting"), "", "192.0.2.1", "alice")
    assert re.fullmatch(r"evt_[0-9A-HJKMNP-TV-Z]{26}", ack.id)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", ack.timestamp)
    assert before <= datetime.fromisoformat(ack.timestamp) <= datetime.now(UTC)
    assert (ack.offset, ack.replayed) == (1, False)
    answer = {"id": ack.id, "timestamp": ack.timestamp, "offset": 1, "epoch": ack.epoch}
    assert json.loads(ack.body) == answer
    envelope = {
        "id": ack.id,
        "app_id": "demo",
        "channel": "room",
        "type": "greeting",
        "data": {"text": "Hello"},
        "meta": {"user_id": "alice", "ts": ack.timestamp, "source_ip": "192.0.2.1"},
        "offset": 1,
    }
    assert json.loads(other.read("demo", "room", 0).events[0][1]) == envelope
    assert say.history(other, "room")["events"] == [envelope]


def test_who_is_not_known_is_null(engine, say):
    ack = say.publish(engine, "room", 1)[0]
    meta = say.history(engine, "room")["events"][0]["meta"]
    assert meta == {"user_id": None, "ts": ack.timestamp, "source_ip": None}


@pytest.mark.parametrize(
    "data", ["1E400", "0.1000", "123456789012345678901234567890", '"\\u00e4\\/"', '{"b":1,"a":2,"b":3}', "[ 1,\t2 ]"]
)
def test_data_is_given_back_as_it_was_sent(engine, other, data):
    engine.publish("demo", "room", b'{"type":"a\\u0062","data":' + data.encode() + b"}")
    envelope = other.read("demo", "room", 0).events[0][1]
    assert f'"type":"a\\u0062","data":{data},"meta"'.encode() in envelope
    assert envelope in other.history("demo", "room")


def test_every_event_has_an_id_of_its_own(engine, other, say):
    ids = [ack.id for opener in (engine, other) for ack in say.publish(opener, "room", *range(20))]
    results = json.loads(engine.publish_batch("demo", say.batch(*[("room", n) for n in range(20)])))["results"]
    ids += [result["id"] for result in results]
    assert len(set(ids)) == 60


def test_events_outlive_the_engine_that_took_them(engine, engine_factory, say):
    acks = say.publish(engine, "room", *"abc")
    before = engine.read("demo", "room", 0)
    engine.close()
    again = engine_factory()
    assert again.read("demo", "room", 0) == before
    assert (say.publish(again, "room", "d")[0].offset, before.epoch) == (4, acks[0].epoch)


@pytest.mark.parametrize("program", [PUBLISH_FOR_EVER, BATCH_FOR_EVER], ids=["publish", "batch"])
@pytest.mark.parametrize("enough", [1, 100, 1000])
def test_acknowledged_events_survive_the_killing_of_their_publisher(
    engine, engine_factory, spawn, say, program, enough
):
    publisher = spawn(program)
    lines = [publisher.stdout.readline() for _ in range(enough)]
    publisher.send_signal(signal.SIGKILL)
    lines += publisher.stdout.readlines()
    # The last line may have been cut short by the death of its writer.
    acked = {int(offset): id_ for offset, id_ in (line.split() for line in lines if line.endswith("\n"))}
    assert sorted(acked) == list(range(1, len(acked) + 1)), "none skipped, none repeated"

    for reader in (engine, engine_factory()):
        events = say.history(reader, "room")["events"]
        kept = {event["offset"]: event["id"] for event in events}
        last = reader.channel("demo", "room").last_offset
        assert last >= max(acked), "an acknowledged event is lost"
        assert sorted(kept) == list(range(max(1, last - engine_factory.history_size + 1), last + 1))
        assert all(kept[offset] == id_ for offset, id_ in acked.items() if offset in kept)
    assert say.publish(engine, "room", "goes on")[0].offset == last + 1
