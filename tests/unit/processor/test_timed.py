import pytest
from tests.peers import event

from polyglot_gateway.errors import ProcessorUnavailable
from polyglot_gateway.processor.base import ACCEPT
from polyglot_gateway.processor.embedded import EmbeddedProcessor
from polyglot_gateway.processor.timed import TimedProcessor


def test_each_call_is_timed_however_it_ends() -> None:
    times: list[float] = []
    timed = TimedProcessor(EmbeddedProcessor(lambda events: [ACCEPT for _ in events]), times.append)
    assert timed.process([event(), event()]) == [ACCEPT, ACCEPT]
    assert len(times) == 1
    timed = TimedProcessor(EmbeddedProcessor(lambda events: []), times.append)
    with pytest.raises(ProcessorUnavailable):
        timed.process([event()])
    assert len(times) == 2
    assert all(0 <= seconds < 10 for seconds in times)


def test_all_else_is_the_processors() -> None:
    processor = EmbeddedProcessor(lambda events: [])
    timed = TimedProcessor(processor, lambda seconds: None)
    assert timed.ready() == processor.ready()
    assert timed.breaker() == processor.breaker()
    timed.close()
