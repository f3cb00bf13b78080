import logging
import sys

import pytest
import structlog

from polyglot_gateway.errors import ProcessorUnavailable
from polyglot_gateway.processor.base import ACCEPT, Verdict, reject, replace
from polyglot_gateway.processor.embedded import EmbeddedProcessor


def test_verdicts_come_in_the_order_of_the_events(event):
    given = [ACCEPT, replace({"a": 1}), reject("no")]
    processor = EmbeddedProcessor(lambda events: given)
    assert processor.process([event(number=n) for n in range(3)]) == given


def test_the_function_gets_the_events_as_they_are(event):
    seen = []
    processor = EmbeddedProcessor(lambda events: seen.extend(events) or [ACCEPT] * len(events))
    events = [event(b"1.10"), event(b'"x"', 2)]
    processor.process(events)
    assert seen == events


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ([], "gave 0 verdicts on 1 events"),
        ([ACCEPT, ACCEPT], "gave 2 verdicts on 1 events"),
        (None, "raised TypeError"),
        ([None], "verdict on evt_1 is of type NoneType, not Verdict"),
        ([("accept", b"", "")], "is of type tuple"),
        ([Verdict("maybe")], "is 'maybe'; it must be accept, replace or reject"),
        ([Verdict("replace", data="1")], "has data of type str, not bytes"),
        ([Verdict("reject", reason=7)], "has a reason that is no text"),
        ([reject("\ud800")], "has a reason that is no text"),
    ],
)
def test_what_are_no_verdicts_on_these_events_is_a_failure_of_the_tier(event, verdicts, said):
    processor = EmbeddedProcessor(lambda events: verdicts)
    with pytest.raises(ProcessorUnavailable, match=r"^The function of the processor tier failed: .*" + said):
        processor.process([event()])


@pytest.mark.parametrize("data", [b"", b"NaN", b'"\xff"', b"[" * 65 + b"]" * 65])
def test_an_event_whose_new_data_is_not_json_is_rejected_and_no_other(event, data):
    processor = EmbeddedProcessor(lambda events: [ACCEPT, replace(data), replace(b"1.10")])
    first, second, third = processor.process([event(number=n) for n in range(3)])
    assert (first, third) == (ACCEPT, replace(b"1.10"))
    assert second.kind == "reject"
    assert second.reason.startswith("The data that the processor gave is not strict JSON: Byte ")


@pytest.fixture
def log(caplog):
    structlog.reset_defaults()  # a test before may have set it up
    structlog.configure(logger_factory=structlog.stdlib.LoggerFactory())
    yield caplog
    structlog.reset_defaults()


def test_an_exception_is_logged_with_its_traceback_and_told_by_its_name_alone(event, log):
    def function(events):
        raise KeyError("what nobody else should read")

    with log.at_level(logging.ERROR), pytest.raises(ProcessorUnavailable, match=r"it raised KeyError\.$"):
        EmbeddedProcessor(function).process([event()])
    assert "what nobody else should read" in log.text
    assert "in function" in log.text


def test_a_function_that_wants_to_exit_ends_its_batch_alone(event):
    with pytest.raises(ProcessorUnavailable, match=r"it raised SystemExit\.$"):
        EmbeddedProcessor(lambda events: sys.exit("what nobody else should read")).process([event()])


def test_it_is_always_ready_and_has_no_breaker():
    processor = EmbeddedProcessor(lambda events: [])
    assert processor.ready() == []
    assert processor.breaker() == {"enabled": False, "processor": "embedded", "state": "closed"}
    processor.close()
    processor.close()
