import pytest

from polyglot_gateway.errors import InvalidApp, InvalidChannel, InvalidEvent, InvalidJson, PayloadTooLarge
from polyglot_gateway.processor.base import ACCEPT, MOST_EVENTS
from polyglot_gateway.processor.service import accept_all


def test_all_is_accepted_by_default(event):
    assert accept_all([event(), event()]) == [ACCEPT, ACCEPT]


def test_events_are_processed_and_rolled_up(service, event):
    verdicts = service.process([event(b'"replace"'), event(b'"reject"')], "http")
    assert [verdict.kind for verdict in verdicts] == ["replace", "reject"]
    (channel,) = service.rollups.report()["channels"]
    assert (channel["replaced"], channel["rejected"]) == (1, 1)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"id": ""}, InvalidEvent),
        ({"app": "not an app"}, InvalidApp),
        ({"channel": ""}, InvalidChannel),
        ({"data": b""}, InvalidJson),
        ({"data": b"{"}, InvalidJson),
        ({"data": b'"\\ud800"'}, InvalidJson),
    ],
)
def test_the_function_sees_only_what_the_contract_promises(make_service, event, change, error):
    service = make_service(lambda events: pytest.fail("it was called"))
    with pytest.raises(error):
        service.process([event(), event()._replace(**change)], "http")


def test_a_batch_has_its_limit(service, event):
    assert len(service.process([event()] * MOST_EVENTS, "http")) == MOST_EVENTS
    with pytest.raises(PayloadTooLarge, match=f"has {MOST_EVENTS + 1} events; at most {MOST_EVENTS}"):
        service.process([event()] * (MOST_EVENTS + 1), "http")
