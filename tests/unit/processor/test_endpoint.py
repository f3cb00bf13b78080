import pytest

from polyglot_gateway.errors import ProcessorUnavailable
from polyglot_gateway.processor.base import MOST_EVENTS, Event, Verdict
from polyglot_gateway.processor.endpoint import BATCH_BYTES, Answer, batches, verdicts_of


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


def test_good_answers_become_verdicts():
    events = [event(number) for number in range(4)]
    answers = [
        Answer("evt_0", "accept", b"", ""),
        Answer("evt_1", "replace", b"1e999 ", ""),
        Answer("evt_2", "reject", b"", "no"),
        Answer("evt_3", "reject", b"", ""),
    ]
    assert verdicts_of("there", events, answers) == [
        Verdict("accept"),
        Verdict("replace", b"1e999 "),
        Verdict("reject", reason="no"),
        Verdict("reject"),
    ]


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([], "0 verdicts for 2 events"),
        ([Answer("evt_0", "accept", b"", "")], "1 verdicts for 2 events"),
        ([Answer("evt_0", "accept", b"", "")] * 3, "3 verdicts for 2 events"),
        (
            [Answer("evt_1", "accept", b"", ""), Answer("evt_0", "accept", b"", "")],
            r"another event .* \(verdict 0, from 0\)",
        ),
        ([Answer("evt_0", "accept", b"", "")] * 2, r"another event .* \(verdict 1, from 0\)"),
        ([Answer("evt_0", "ACCEPT", b"", "")] * 2, "none of accept, replace and reject"),
        ([Answer("evt_0", "replace", b"", "")] * 2, "replace without data"),
        ([Answer("evt_0", "replace", b"{secret}", "")] * 2, "replace without data that is JSON"),
        ([Answer("evt_0", "accept", b"secret", "")] * 2, "accept with data"),
        ([Answer("evt_0", "reject", b"secret", "no")] * 2, "reject with data"),
        ([Answer("evt_0", "accept", b"", "secret")] * 2, "accept with a reason"),
        ([Answer("evt_0", "replace", b"1", "secret")] * 2, "replace with a reason"),
    ],
)
def test_anything_else_is_said_with_the_endpoint_and_no_data(answers, said):
    with pytest.raises(ProcessorUnavailable, match=said) as caught:
        verdicts_of("http://there:1", [event(0), event(1)], answers)
    assert caught.value.message.startswith("The processor at http://there:1 answered ")
    assert "secret" not in caught.value.message
