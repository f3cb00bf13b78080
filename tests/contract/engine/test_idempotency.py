"""Idempotency: the same key in the same channel gives the first answer again, from every process."""

import json

import pytest

from polyglot_gateway.errors import IdempotencyMismatch, Overloaded

PUBLISH_ONE = """
import sys
print(engine.publish("demo", "room", sys.argv[1].encode(), "key").body.decode())
"""


def test_the_same_key_gives_the_first_answer_again(engine, other, say):
    first = say.publish(engine, "room", "a", idempotency_key="key")[0]
    say.publish(engine, "room", "b")
    for opener in (engine, other):
        again = say.publish(opener, "room", "a", idempotency_key="key")[0]
        assert again == first._replace(replayed=True)
    assert not first.replayed
    assert say.kept(other, "room") == ["a", "b"]


def test_the_key_is_known_to_other_processes(engine, spawn, say):
    first = say.publish(engine, "room", "a", idempotency_key="key")[0]
    answer = spawn(PUBLISH_ONE, say.body("a").decode()).communicate()[0]
    assert json.loads(answer) == json.loads(first.body)
    assert say.kept(engine, "room") == ["a"]


def test_the_key_outlives_the_engine(engine, engine_factory, say):
    first = say.publish(engine, "room", "a", idempotency_key="key")[0]
    engine.close()
    assert say.publish(engine_factory(), "room", "a", idempotency_key="key")[0] == first._replace(replayed=True)


@pytest.mark.parametrize("other_body", [b'{"type":"message","data":"b"}', b'{"type":"other","data":"a"}'])
def test_another_body_under_the_same_key_is_refused(engine, other, say, other_body):
    first = say.publish(engine, "room", "a", idempotency_key="key")[0]
    for opener in (engine, other):
        with pytest.raises(IdempotencyMismatch):
            opener.publish("demo", "room", other_body, "key")
    assert say.kept(engine, "room") == ["a"]
    assert say.publish(other, "room", "a", idempotency_key="key")[0].id == first.id


def test_a_key_belongs_to_its_channel(engine, say):
    ids = {
        engine.publish(app, channel, say.body("a"), "key").id
        for app, channel in [("demo", "one"), ("demo", "two"), ("elsewhere", "one")]
    }
    assert len(ids) == 3


def test_keys_are_told_apart_to_their_last_byte(engine, say):
    keys = ["k", "K", "k ", "k" * 255, "k" * 254 + "l", "ä"]
    offsets = [say.publish(engine, "room", "a", idempotency_key=key)[0].offset for key in keys]
    assert offsets == list(range(1, len(keys) + 1))


def test_without_a_key_nothing_is_replayed(engine, say):
    assert [ack.offset for ack in say.publish(engine, "room", "a", "a")] == [1, 2]


def test_a_refused_event_does_not_use_up_its_key(engine, say):
    with pytest.raises(Exception, match="data"):
        engine.publish("demo", "room", b'{"type":"message"}', "key")
    assert not say.publish(engine, "room", "a", idempotency_key="key")[0].replayed


def test_a_key_stays_known_after_its_event_is_gone(engine, engine_factory, say):
    first = say.publish(engine, "room", "a", idempotency_key="key")[0]
    say.publish(engine, "room", *range(engine_factory.history_size))
    assert say.publish(engine, "room", "a", idempotency_key="key")[0] == first._replace(replayed=True)
    engine.forget("demo", "room")
    assert say.publish(engine, "room", "a", idempotency_key="key")[0] == first._replace(replayed=True)
    assert say.kept(engine, "room") == []


@pytest.mark.parametrize("ndjson", [False, True])
def test_a_batch_sent_again_gives_the_first_answers(engine, other, say, ndjson):
    events = [("one", "a"), ("two", "b"), ("no spaces", "c"), ("one", "a")]
    body = say.batch(*events)
    if ndjson:
        body = b"\n".join(json.dumps(event).encode() for event in json.loads(body)["events"])
    first, again = (
        json.loads(opener.publish_batch("demo", body, ndjson, "key"))["results"] for opener in (engine, other)
    )
    assert [told(result) for result in again] == [told(result) for result in first]
    assert first[2]["code"] == "invalid_channel"
    assert (say.kept(engine, "one"), say.kept(engine, "two")) == (["a", "a"], ["b"])


def test_a_batch_sent_again_in_part_changed_is_refused_in_that_part(engine, other, say):
    first = json.loads(engine.publish_batch("demo", say.batch(("one", "a"), ("one", "b")), False, "key"))["results"]
    results = json.loads(other.publish_batch("demo", say.batch(("one", "a"), ("one", "c")), False, "key"))["results"]
    assert told(results[0]) == told(first[0])
    assert (results[1]["code"], results[1]["status"]) == ("idempotency_mismatch", 422)
    assert say.kept(engine, "one") == ["a", "b"]


def test_a_batch_that_was_kept_in_part_can_be_sent_again(engine, other, say):
    body = say.batch(*[("room", n) for n in range(6)])
    first = json.loads(engine.publish_batch("demo", body, False, "key"))["results"]
    longer = say.batch(*[("room", n) for n in range(8)])
    results = json.loads(other.publish_batch("demo", longer, False, "key"))["results"]
    assert [told(result) for result in results[:6]] == [told(result) for result in first]
    assert say.kept(engine, "room") == list(range(8))


def test_a_broadcast_sent_again_gives_the_first_answers(engine, other, say):
    body = b'{"channels":["one","no spaces","two"],"type":"message","data":1}'
    first, again = (json.loads(opener.broadcast("demo", body, "key"))["results"] for opener in (engine, other))
    assert [told(result) for result in again] == [told(result) for result in first]
    assert say.kept(engine, "one") == say.kept(engine, "two") == [1]


def test_no_key_is_forgotten_early(engine, other, engine_factory, say):
    first, refused = {}, []
    for n in range(2 * (engine_factory.idempotency_keys or 500)):
        try:
            first[n] = say.publish(engine, "room", n, idempotency_key=f"key-{n}")[0]
        except Overloaded:
            refused.append(n)
    for n, ack in first.items():
        assert say.publish(other, "room", n, idempotency_key=f"key-{n}")[0] == ack._replace(replayed=True)
    if engine_factory.idempotency_keys is not None:
        assert len(first) == engine_factory.idempotency_keys
        assert len(refused) == engine_factory.idempotency_keys
    assert engine.channel("demo", "room").last_offset == len(first), "what was refused left no trace"
    assert not say.publish(engine, "room", "goes on")[0].replayed


def told(result: dict) -> tuple:
    """What an answer to one event of a batch says that the contract names."""
    return tuple(result.get(member) for member in ("channel", "id", "timestamp", "offset", "epoch", "code"))
