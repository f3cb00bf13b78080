import pytest

from polyglot_gateway._core import write_events
from polyglot_gateway.errors import ProcessorUnavailable
from polyglot_gateway.processor import json_wire
from polyglot_gateway.processor.base import BATCH_BYTES, MOST_EVENTS, Event, reject
from polyglot_gateway.processor.endpoint import batches, verdicts_on


def event(number=0, data=b"{}"):
    return Event(f"evt_{number}", "demo", "room", "message", data, "2026-01-01T00:00:00.000000Z")


def test_batches_keep_order_and_lose_nothing():
    events = [event(number) for number in range(2 * MOST_EVENTS + 1)]
    cut = list(batches(events))
    assert [len(batch) for batch in cut] == [MOST_EVENTS, MOST_EVENTS, 1]
    assert [one for batch in cut for one in batch] == events


def test_no_events_are_no_batch():
    assert list(batches([])) == []


def test_batches_are_bounded_in_bytes_and_a_larger_event_goes_alone():
    half, huge = b"1" * (BATCH_BYTES // 2), b"1" * (BATCH_BYTES + 1)
    events = [event(number, data) for number, data in enumerate([half, half, half, huge, b"1", b"2"])]
    assert [[one.id[-1] for one in batch] for batch in batches(events)] == [["0"], ["1"], ["2"], ["3"], ["4", "5"]]


@pytest.mark.parametrize("size", [1, 3000, 1_000_000])
def test_a_message_is_within_the_bound_with_the_longest_names_there_are(size):
    ip = "0000:0000:0000:0000:0000:ffff:255.255.255.255"
    longest = event()._replace(id="e" * 30, app="a" * 64, channel="c" * 200, type="\x01" * 42, source_ip=ip)
    events = [longest._replace(data=b"1" * size, user_id="u" * size)] * MOST_EVENTS
    for batch in batches(events):
        assert len(json_wire.write_events(batch)) < BATCH_BYTES
        assert len(write_events(batch)) < BATCH_BYTES


def read(answer):
    if answer is None:
        raise ValueError("424242 secret")
    return [f"evt_{number}" for number in answer], [reject(str(number)) for number in answer]


def test_good_answers_are_verdicts():
    assert verdicts_on([event(0), event(1)], "there", read, [0, 1]) == [reject("0"), reject("1")]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([], "0 verdicts on 2 events"),
        ([0], "1 verdicts on 2 events"),
        ([0, 1, 424242], "3 verdicts on 2 events"),
        ([1, 0], "verdicts on other events, or in another order"),
        ([0, 424242], "verdicts on other events, or in another order"),
        (None, "something else than verdicts"),
    ],
)
def test_anything_else_is_said_with_the_endpoint_and_nothing_of_the_answer(answer, said):
    with pytest.raises(ProcessorUnavailable) as caught:
        verdicts_on([event(0), event(1)], "http://there:1", read, answer)
    assert caught.value.message == f"The processor at http://there:1 answered {said}."
