"""The engine, called from Python, beside the reference that does the same work in plain Python."""

import json
import statistics

import pytest
from gates.reference import ReferenceGateway

from polyglot_gateway.analytics import Analytics

CHANNEL = "room:test"


@pytest.fixture
def reference():
    return ReferenceGateway()


def test_both_do_the_same_work(engine, reference, event):
    """A ratio means something only if the reference leaves nothing out."""
    ours, theirs = (json.loads(reply) for reply in (
        engine.publish("demo", CHANNEL, event).body, reference.publish("demo", CHANNEL, event)
    ))  # fmt: skip
    assert {name: type(value) for name, value in ours.items()} == {name: type(value) for name, value in theirs.items()}
    assert {name: len(str(value)) for name, value in ours.items()} == {name: len(str(v)) for name, v in theirs.items()}
    batch = batch_of(event, 3)
    ours, theirs = (json.loads(reply)["results"] for reply in (
        engine.publish_batch("demo", batch), reference.publish_batch("demo", batch)
    ))  # fmt: skip
    assert [result.keys() for result in ours] == [result.keys() for result in theirs]
    ours, theirs = json.loads(engine.history("demo", CHANNEL))["events"], reference.history("demo", CHANNEL)
    assert [event.keys() for event in ours] == [event.keys() for event in theirs]
    assert [event["offset"] for event in ours] == [event["offset"] for event in theirs] == [1, 2, 3, 4]


def batch_of(event: bytes, size: int) -> bytes:
    return b'{"events":[' + b",".join([b'{"channel":"%s",' % CHANNEL.encode() + event[1:]] * size) + b"]}"


def test_one_publish_costs_an_eighth(at_least, engine, reference, event):
    at_least(
        8,
        lambda: reference.publish("demo", CHANNEL, event),
        lambda: engine.publish("demo", CHANNEL, event),
    )


def test_a_batch_of_100_costs_a_twentieth(at_least, engine, reference, event):
    batch = batch_of(event, 100)
    at_least(
        20,
        lambda: reference.publish_batch("demo", batch),
        lambda: engine.publish_batch("demo", batch),
        100,
    )


def test_a_history_of_100_costs_a_fiftieth_of_dumping_it(at_least, engine, event):
    for _ in range(1000):
        engine.publish("demo", CHANNEL, event)
    reply = json.loads(engine.history("demo", CHANNEL))
    assert reply["count"] == 100
    at_least(
        50,
        lambda: json.dumps(reply),
        lambda: engine.history("demo", CHANNEL),
        100,
    )


def test_columns_of_1000_events_cost_a_twentieth_of_parsing_them(at_least, engine):
    """Of a channel's newest 1000 events: a number of each, and its mean and percentiles."""
    for number in range(1000):
        engine.publish("demo", CHANNEL, b'{"type": "trade", "data": {"symbol": "ABC", "price": %d.5}}' % number)
    envelopes = []
    while len(envelopes) < 1000:
        envelopes += [envelope for _, envelope in engine.read("demo", CHANNEL, len(envelopes), limit=1000).events]

    def slow():
        events = [json.loads(envelope) for envelope in envelopes]
        offsets = [event["offset"] for event in events]
        sizes = [len(envelope) for envelope in envelopes]
        prices = [event["data"]["price"] for event in events]
        percentiles = statistics.quantiles(prices, n=100, method="inclusive")
        return offsets, sizes, statistics.fmean(prices), percentiles[94]

    def fast():
        columns = engine.columns("demo", CHANNEL, ["/price"])
        price = Analytics(columns).fields["/price"]
        return columns.offsets, columns.sizes, price.mean, price.p95

    for theirs, ours in zip(slow(), fast(), strict=True):
        assert ours == pytest.approx(theirs)
    at_least(20, slow, fast, 1000)
